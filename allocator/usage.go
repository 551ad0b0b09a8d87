package allocator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// usage has in memory how much each tenant has, where there are quotas: how many
// of its claims have a NIC, and how many addresses are reserved for them or cool
// down after them. It is counted from the records alone, so nothing can drift: the
// leader learns each change by its watch, and counts what it is about to commit at
// once. Elsewhere all is read afresh for each choice.
type usage struct {
	counts bool // some tenant has a quota of NICs or addresses
	quotas map[string]nic.Quota

	mu     sync.Mutex // guards what follows
	live   bool
	shares map[string]*share // by the key of a claim or of an address
	total  map[shareOf]int
	// rests has by tenant what counts only until it has cooled down, by that time.
	rests map[string][]rest
}

// A share is one NIC or one address that a tenant has, or is about to have.
type share struct {
	tenant   string
	recorded bool
	until    time.Time // when it is the tenant's no more; zero while it is held
	rev      store.Rev // of the record that was learnt
	pending  int       // edits that are about to commit it
}

func (s *share) counts() bool { return s.recorded || s.pending > 0 }

// A rest is a share with an end.
type rest struct {
	until time.Time
	key   string
}

func (r rest) compare(o rest) int { return cmp.Or(r.until.Compare(o.until), cmp.Compare(r.key, o.key)) }

// A fill is how much a tenant has of a kind.
type fill struct {
	has int
	// room is when enough for what was asked has cooled down; zero where that alone
	// makes no room.
	room time.Time
}

// shareOf is what is counted.
type shareOf struct{ tenant, kind string }

func newUsage(tenants []nic.Tenant) *usage {
	u := &usage{quotas: map[string]nic.Quota{}}
	for _, t := range tenants {
		u.quotas[t.Name] = t.Quota
		u.counts = u.counts || t.Quota.NICs > 0 || t.Quota.Addresses > 0
	}
	u.clear()
	return u
}

func (u *usage) clear() {
	u.shares, u.total, u.rests = map[string]*share{}, map[shareOf]int{}, map[string][]rest{}
}

// kindOf is what a key counts as: the part in front of the slash.
func kindOf(key string) string { return key[:strings.IndexByte(key, '/')+1] }

// change changes one share and the total with it. The caller holds the lock.
func (u *usage) change(key string, by func(*share)) {
	s := u.shares[key]
	if s == nil {
		s = &share{}
		u.shares[key] = s
	}
	if s.counts() {
		u.total[shareOf{s.tenant, kindOf(key)}]--
	}
	if !s.until.IsZero() {
		all := u.rests[s.tenant]
		if i, ok := slices.BinarySearchFunc(all, rest{s.until, key}, rest.compare); ok {
			u.rests[s.tenant] = slices.Delete(all, i, i+1)
		}
	}
	by(s)
	if !s.counts() {
		delete(u.shares, key)
		return
	}
	u.total[shareOf{s.tenant, kindOf(key)}]++
	if !s.until.IsZero() {
		all := u.rests[s.tenant]
		i, _ := slices.BinarySearchFunc(all, rest{s.until, key}, rest.compare)
		u.rests[s.tenant] = slices.Insert(all, i, rest{s.until, key})
	}
}

// lapse ends what has cooled down by now. The caller holds the lock.
func (u *usage) lapse(tenant string, now time.Time) {
	for all := u.rests[tenant]; len(all) > 0 && !now.Before(all[0].until); all = u.rests[tenant] {
		u.change(all[0].key, func(s *share) { s.recorded, s.until = false, time.Time{} })
	}
}

// learn notes one record. The caller holds the lock.
func (u *usage) learn(record store.Record, gone bool) {
	tenant, has, until := "", false, time.Time{}
	switch kindOf(record.Key) {
	case claimPrefix:
		if c, err := store.DecodeJSON[nic.Claim](record); err == nil && !gone {
			tenant, has = nic.TenantOf(c.Tenant), c.NIC != "" || onMove(c) // one on the move has its next
		}
	case addrPrefix:
		if r, err := store.DecodeJSON[nic.Reservation](record); err == nil && !gone {
			tenant, has, until = nic.TenantOf(r.Tenant), r.Claim != "" || !r.Held(), r.Free
		}
	default:
		return
	}
	u.change(record.Key, func(s *share) {
		if record.Rev < s.rev {
			return // it was committed here since
		}
		s.recorded, s.until, s.rev = has, until, record.Rev
		if has {
			s.tenant = tenant
		}
	})
}

// load reads all that there is. The caller holds the lock.
func (u *usage) load(ctx context.Context, s store.Store) error {
	pending := map[string]share{}
	for key, s := range u.shares {
		if s.pending > 0 {
			pending[key] = share{tenant: s.tenant, pending: s.pending}
		}
	}
	var all []store.Record
	for _, prefix := range []string{claimPrefix, addrPrefix} {
		records, _, err := s.List(ctx, prefix, "", 0)
		if err != nil {
			return fmt.Errorf("count what tenants have: %w", err)
		}
		all = append(all, records...)
	}
	u.clear()
	for key, p := range pending {
		u.change(key, func(s *share) { *s = p })
	}
	for _, r := range all {
		u.learn(r, false)
	}
	return nil
}

// follow reads all and begins the time in which every change is seen.
func (u *usage) follow(ctx context.Context, s store.Store) error {
	if !u.counts {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	err := u.load(ctx, s)
	u.live = err == nil
	return err
}

// unfollow ends that time.
func (u *usage) unfollow() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.live = false
}

// see notes changed records.
func (u *usage) see(events []store.Event) {
	if !u.counts {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, e := range events {
		r := e.Record
		r.Key = e.Key
		u.learn(r, e.Gone)
	}
}

// take counts the keys, all of one kind, as the tenant's from now on, until the
// edit turns out not to be committed; or counts none, with undo nil, and says how
// many there are if most would be passed. 0 is no bound. undo takes them back before.
func (u *usage) take(e *edit, tenant string, most int, keys ...string) (of fill, undo func(), err error) {
	none := func() {}
	if most == 0 || len(keys) == 0 {
		return of, none, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.live {
		if err := u.load(e.ctx, e.store); err != nil {
			return of, none, err
		}
	}
	u.lapse(tenant, e.now())
	more := 0
	for _, key := range keys {
		if s := u.shares[key]; s == nil || !s.counts() || s.tenant != tenant {
			more++
		}
	}
	of.has = u.total[shareOf{tenant, kindOf(keys[0])}]
	if short := of.has + more - most; more > 0 && short > 0 {
		if rests := u.rests[tenant]; kindOf(keys[0]) == addrPrefix && short <= len(rests) {
			of.room = rests[short-1].until
		}
		return of, nil, nil
	}
	for _, key := range keys {
		u.change(key, func(s *share) {
			if s.tenant != tenant { // the other's has cooled down, or its end is not known here yet
				s.tenant, s.recorded, s.until = tenant, false, time.Time{}
			}
			s.pending++
		})
	}
	return of, u.taken(e, keys), nil
}

// taken has the edit end what take has begun: with its commit, or without. The
// caller holds the lock.
func (u *usage) taken(e *edit, keys []string) (undo func()) {
	done := false
	end := func(by func(*share)) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if done {
			return
		}
		done = true
		for _, key := range keys {
			u.change(key, func(s *share) { s.pending--; by(s) })
		}
	}
	undo = func() { end(func(*share) {}) }
	e.undo = append(e.undo, undo)
	e.after = append(e.after, func(rev store.Rev) {
		end(func(s *share) {
			if rev >= s.rev {
				s.recorded, s.until, s.rev = true, time.Time{}, rev
			}
		})
	})
	return undo
}
