package allocator

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// facts are what the store, the providers and the nodes say, each for itself.
type facts struct {
	// The store is read before and after the others are asked, so that what
	// begins or ends meanwhile is not taken for a difference.
	before, after reading
	providers     map[string]said
	censuses      map[string]nic.Census // of the nodes that have answered
	mute          map[string]string     // why each of the others has not
}

// reading is all of the store that is compared, as of one revision.
type reading struct {
	nics     map[nic.ID]nic.NIC
	claims   map[nic.ClaimID]nic.Claim
	nodes    map[string]nic.Node
	observed map[nic.ID]nic.Observed
	owners   map[string]nic.ClaimID     // by key
	on       map[string]nic.ID          // by key
	moved    map[string]moved           // by key
	reserved map[string]nic.Reservation // of addresses, MACs and seats, by key
	public   map[nic.ClaimID]nic.Publication
}

// said is what a provider says in its list, and then of single NICs: the second
// source for all that the list alone would make doubtful.
type said struct {
	list  map[nic.ID]nic.Seen
	asked map[nic.ID]nic.Seen
	err   error // then nothing is concluded from the rest
	// public are the public addresses that the provider says claims have; nil where
	// it was not asked, or has not answered.
	public    map[nic.ClaimID]netip.Addr
	publicErr error
}

// read reads the store at one revision.
func (a *Allocator) read(ctx context.Context) (reading, error) {
	r := reading{
		nics: map[nic.ID]nic.NIC{}, claims: map[nic.ClaimID]nic.Claim{}, nodes: map[string]nic.Node{},
		observed: map[nic.ID]nic.Observed{}, owners: map[string]nic.ClaimID{}, on: map[string]nic.ID{},
		reserved: map[string]nic.Reservation{}, moved: map[string]moved{},
		public: map[nic.ClaimID]nic.Publication{},
	}
	all, _, err := a.opts.Store.List(ctx, "", "", 0)
	if err != nil {
		return r, fmt.Errorf("read the store: %w", err)
	}
	for _, record := range all {
		kind, rest, _ := strings.Cut(record.Key, "/")
		switch kind + "/" {
		case nicPrefix:
			err = into(r.nics, nic.ID(rest), record)
		case claimPrefix:
			err = into(r.claims, nic.ClaimID(rest), record)
		case nodePrefix:
			err = into(r.nodes, rest, record)
		case observedPrefix:
			err = into(r.observed, nic.ID(rest), record)
		case ownerRoot:
			err = into(r.owners, record.Key, record)
		case addrPrefix, macPrefix, seatRoot:
			err = into(r.reserved, record.Key, record)
		case onRoot:
			err = into(r.on, record.Key, record)
		case publicPrefix:
			err = into(r.public, nic.ClaimID(rest), record)
		case movedPrefix:
			err = into(r.moved, record.Key, record)
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func into[K comparable, V any](m map[K]V, key K, record store.Record) error {
	v, err := store.DecodeJSON[V](record)
	m[key] = v
	return err
}

// gather asks everybody. An error is the store's; what a provider or a node does
// not say is in the facts.
func (a *Allocator) gather(ctx context.Context) (facts, error) {
	f := facts{providers: map[string]said{}, censuses: map[string]nic.Census{}, mute: map[string]string{}}
	var err error
	if f.before, err = a.read(ctx); err != nil {
		return f, err
	}
	asked, err := a.askNodes(ctx, &f)
	if err != nil {
		return f, err
	}
	for name := range a.opts.Providers {
		s := a.list(ctx, name)
		s.public, s.publicErr = a.listPublic(ctx, name, f.before)
		f.providers[name] = s
	}
	a.awaitCensuses(ctx, &f, asked)
	if f.after, err = a.read(ctx); err != nil {
		return f, err
	}
	for name, s := range f.providers {
		if doubts := f.doubts(name); s.err == nil && len(doubts) > 0 && secondSource {
			f.providers[name] = a.askAbout(ctx, name, s, doubts)
		}
	}
	return f, nil
}

// list asks a provider for all that carries our tag.
func (a *Allocator) list(ctx context.Context, name string) said {
	p := a.opts.Providers[name]
	ctx, cancel := context.WithTimeout(ctx, worstCall(p))
	defer cancel()
	all, err := p.List(ctx)
	a.reached(name, err)
	s := said{list: map[nic.ID]nic.Seen{}, asked: map[nic.ID]nic.Seen{}, err: err}
	for _, seen := range all {
		s.list[seen.NIC] = seen
	}
	return s
}

// doubts are the NICs of which a provider's list says other than the store.
func (f facts) doubts(name string) (ids []nic.ID) {
	list := f.providers[name].list
	for id := range list {
		if !f.recorded(id) {
			ids = append(ids, id)
		}
	}
	seats := seatsIn(f.after.nics)
	for id, n := range f.after.nics {
		right := list[id].State == nic.StateAttached && list[id].Place.Instance == n.Instance && (!n.Carries || len(lacks(n, list[id])) == 0)
		if n.Provider == name && !seats[id] && f.wasAndIsInUse(n) && !right {
			ids = append(ids, id)
		}
	}
	for _, c := range f.after.claims {
		if _, ok := f.after.nics[c.NIC]; c.NIC != "" && !ok && list[c.NIC].State == "" {
			ids = append(ids, c.NIC)
		}
	}
	return ids
}

// askAbout has the provider look at single NICs. Its list may be an answer of
// yesterday (F05) or a short one (F51).
func (a *Allocator) askAbout(ctx context.Context, name string, s said, ids []nic.ID) said {
	p := a.opts.Providers[name]
	ctx, cancel := context.WithTimeout(ctx, worstCall(p))
	defer cancel()
	s.asked, s.err = p.Get(ctx, ids...)
	a.reached(name, s.err)
	return s
}

// says is what the provider says of the NIC when it is asked for it alone; the
// zero Seen if it sees none. sure is false where the list says otherwise.
func (s said) says(id nic.ID) (seen nic.Seen, sure bool) {
	if !secondSource {
		return s.list[id], true
	}
	one, other := s.asked[id], s.list[id]
	return one, one.State == other.State && one.Place == other.Place
}

// recorded says whether there is, or was a moment ago, a record that keeps the
// NIC.
func (f facts) recorded(id nic.ID) bool {
	for _, r := range []reading{f.before, f.after} {
		if n, ok := r.nics[id]; ok && keeps(n) {
			return true
		}
	}
	return false
}

// wasAndIsInUse says whether the NIC was plugged in for use in both readings, so
// that its provider must have it.
func (f facts) wasAndIsInUse(n nic.NIC) bool {
	was := f.before.nics[n.ID]
	return inUse(n) && was.Phase == n.Phase && was.Since.Equal(n.Since)
}

// keeps says whether a record keeps its NIC from being collected: every one
// does, whatever its phase and whoever works on it.
func keeps(n nic.NIC) bool {
	return looksAround || n.Phase == nic.PhaseHeld || n.Phase == nic.PhaseReturning || n.Phase == nic.PhaseRetiring
}
