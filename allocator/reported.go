package allocator

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// reported has in memory which addresses the nodes say that NICs have, also
// those that others give: they are reserved by nobody, so they may clash.
type reported struct {
	mu sync.Mutex
	// whose each NIC is.
	whose few[nic.ID, belonging]
	nics  map[nic.ID]sighting
	// addrs has by address one NIC that was seen with it, and more the others, of which
	// there are few.
	addrs map[netip.Addr]nic.ID
	more  map[netip.Addr][]nic.ID
}

// A belonging says in which network a NIC is, and whose.
type belonging struct{ network, tenant string }

// A sighting is what a node last said of a NIC in a container.
type sighting struct {
	claim nic.ClaimID
	addrs []netip.Addr
	at    time.Time
}

func newReported() *reported {
	return &reported{whose: few[nic.ID, belonging]{}, nics: map[nic.ID]sighting{}, addrs: map[netip.Addr]nic.ID{}, more: map[netip.Addr][]nic.ID{}}
}

// see notes a changed record, if it is of a NIC or what a node says of one.
func (r *reported) see(key string, record store.Record, gone bool) {
	if text, ok := strings.CutPrefix(key, nicPrefix); ok {
		n, err := store.DecodeJSON[nic.NIC](record)
		if gone || err != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.whose, nic.ID(text))
			return
		}
		r.own(n)
	}
	if text, ok := strings.CutPrefix(key, observedPrefix); ok {
		o, err := store.DecodeJSON[nic.Observed](record)
		if gone || err != nil {
			o = nic.Observed{}
		}
		r.observe(nic.ID(text), o)
	}
}

// observe notes what a node says of a NIC.
func (r *reported) observe(id nic.ID, o nic.Observed) {
	if o.State != nic.ObservedIn {
		o = nic.Observed{}
	}
	r.note(id, o)
}

// own notes whose a NIC is.
func (r *reported) own(n nic.NIC) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.whose.put(n.ID, belonging{n.Network, nic.TenantOf(n.Tenant)})
}

func (r *reported) note(id nic.ID, o nic.Observed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, addr := range r.nics[id].addrs {
		r.drop(addr, id)
	}
	delete(r.nics, id)
	s := sighting{claim: o.Claim, at: o.At}
	for _, p := range o.Addrs {
		if p.Addr().IsLinkLocalUnicast() {
			continue // made from the MAC, for the one link
		}
		if s.addrs = append(s.addrs, p.Addr()); !slices.Contains(r.with(p.Addr()), id) {
			r.add(p.Addr(), id)
		}
	}
	if len(s.addrs) > 0 {
		r.nics[id] = s
	}
}

// with are the NICs that were seen with an address. The caller holds the lock, here and
// in what follows.
func (r *reported) with(addr netip.Addr) []nic.ID {
	if one, some := r.addrs[addr]; some {
		return append([]nic.ID{one}, r.more[addr]...)
	}
	return nil
}

func (r *reported) add(addr netip.Addr, id nic.ID) {
	if _, some := r.addrs[addr]; some {
		r.more[addr] = append(r.more[addr], id)
		return
	}
	r.addrs[addr] = id
}

func (r *reported) drop(addr netip.Addr, id nic.ID) {
	left := slices.DeleteFunc(r.with(addr), func(of nic.ID) bool { return of == id })
	delete(r.addrs, addr)
	delete(r.more, addr)
	for _, id := range left {
		r.add(addr, id)
	}
}

// of returns the addresses that a NIC was last seen with, and since when.
func (r *reported) of(id nic.ID) ([]netip.Addr, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nics[id].addrs, r.nics[id].at
}

// others returns the claims but this one that were seen with the address by NICs
// for which counts holds, and since when.
func (r *reported) others(addr netip.Addr, but nic.ClaimID, counts func(belonging) bool) map[nic.ClaimID]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var claims map[nic.ClaimID]time.Time
	for _, id := range r.with(addr) {
		if s := r.nics[id]; s.claim != but && s.claim != "" && counts(r.whose.at(id)) {
			if claims == nil {
				claims = map[nic.ClaimID]time.Time{}
			}
			claims[s.claim] = s.at
		}
	}
	return claims
}
