package allocator

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// usage has in memory how much each tenant has, where there are quotas: how many
// of its claims have a NIC, and how many addresses are reserved for them. It is
// counted from the records alone, so nothing can drift: the leader learns each
// change by its watch, and counts what it is about to commit at once. Elsewhere
// all is read afresh for each choice.
type usage struct {
	counts bool // some tenant has a quota of NICs or addresses
	quotas map[string]nic.Quota

	mu     sync.Mutex // guards what follows
	live   bool
	shares map[string]*share // by the key of a claim or of an address
	total  map[shareOf]int
}

// A share is one NIC or one address that a tenant has, or is about to have.
type share struct {
	tenant   string
	recorded bool
	rev      store.Rev // of the record that was learnt
	pending  int       // edits that are about to commit it
}

func (s *share) counts() bool { return s.recorded || s.pending > 0 }

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

func (u *usage) clear() { u.shares, u.total = map[string]*share{}, map[shareOf]int{} }

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
	by(s)
	if s.counts() {
		u.total[shareOf{s.tenant, kindOf(key)}]++
	} else {
		delete(u.shares, key)
	}
}

// learn notes one record. The caller holds the lock.
func (u *usage) learn(record store.Record, gone bool) {
	tenant, has := "", false
	switch kindOf(record.Key) {
	case claimPrefix:
		if c, err := store.DecodeJSON[nic.Claim](record); err == nil && !gone {
			tenant, has = nic.TenantOf(c.Tenant), c.NIC != ""
		}
	case addrPrefix:
		if r, err := store.DecodeJSON[nic.Reservation](record); err == nil && !gone {
			tenant, has = nic.TenantOf(r.Tenant), r.Held() && r.Claim != ""
		}
	default:
		return
	}
	u.change(record.Key, func(s *share) {
		if record.Rev < s.rev {
			return // it was committed here since
		}
		s.recorded, s.rev = has, record.Rev
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
// edit turns out not to be committed; or counts none and says how many there
// are if most would be passed. 0 is no bound. undo takes them back before.
func (u *usage) take(e *edit, tenant string, most int, keys ...string) (has int, undo func(), err error) {
	none := func() {}
	if most == 0 || len(keys) == 0 {
		return 0, none, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.live {
		if err := u.load(e.ctx, e.store); err != nil {
			return 0, none, err
		}
	}
	more := 0
	for _, key := range keys {
		if s := u.shares[key]; s == nil || !s.counts() || s.tenant != tenant {
			more++
		}
	}
	has = u.total[shareOf{tenant, kindOf(keys[0])}]
	if more > 0 && has+more > most {
		return has, nil, nil
	}
	for _, key := range keys {
		u.change(key, func(s *share) { s.tenant = tenant; s.pending++ })
	}
	return has, u.taken(e, keys), nil
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
				s.recorded, s.rev = true, rev
			}
		})
	})
	return undo
}
