package allocator

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// unserved has in memory which claims wait to be tried again, so that a NIC or a claim
// that ends costs no look at all the others. It is the leader's memory alone, and a
// hint: each claim is read anew when it is tried. None is missing that the store has; a
// few may be there that have been served this moment.
type unserved struct {
	mu     sync.Mutex
	claims map[nic.ClaimID]waiting
}

// A waiting is a claim that waits, by the record of a revision, which is 0 while it is
// on its way: the store has it before we know.
type waiting struct {
	claim  *nic.Claim // nobody changes what it points to
	rev    store.Rev
	coming int // how many commits that say so are on their way
}

func newUnserved() *unserved { return &unserved{claims: map[nic.ClaimID]waiting{}} }

func isUnserved(c nic.Claim) bool { return c.Phase == nic.ClaimRefused || awaitsFormer(c) }

// learn notes the claims that wait as of a revision, from which on they are watched.
// What was committed here since is known already.
func (u *unserved) learn(claims []store.JSON[nic.Claim], at store.Rev) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.claims, func(_ nic.ClaimID, w waiting) bool { return w.coming == 0 && w.rev <= at })
	for _, c := range claims {
		u.note(c.Value, c.Rev)
	}
}

// see notes a changed record, and says whether it is news that its claim waits: another
// controller has committed it, while what it waits for may have come free here.
func (u *unserved) see(e store.Event) (news bool) {
	text, ok := strings.CutPrefix(e.Key, claimPrefix)
	if !ok {
		return false
	}
	id, waits := nic.ClaimID(text), false
	var c nic.Claim
	if !e.Gone {
		var err error
		c, err = store.DecodeJSON[nic.Claim](e.Record)
		waits = err == nil && isUnserved(c)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	w, known := u.claims[id]
	switch {
	case waits:
		u.note(c, e.Rev)
		return !known
	case known && w.rev <= e.Rev && w.coming == 0:
		delete(u.claims, id)
	case known && w.rev <= e.Rev:
		w.rev = 0
		u.claims[id] = w
	}
	return false
}

// writes notes what is about to be committed; end says at which revision it has been,
// or 0 if it has not.
func (u *unserved) writes(records []remembered) (end func(at store.Rev)) {
	var claims []nic.Claim
	for _, r := range records {
		if c, ok := r.v.(nic.Claim); ok && isUnserved(c) {
			claims = append(claims, c)
		}
	}
	if len(claims) == 0 {
		return func(store.Rev) {}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range claims {
		w := u.claims[c.ID]
		if w.coming++; w.claim == nil {
			w.claim = &c
		}
		u.claims[c.ID] = w
	}
	return func(at store.Rev) {
		u.mu.Lock()
		defer u.mu.Unlock()
		for _, c := range claims {
			w := u.claims[c.ID]
			w.coming--
			u.claims[c.ID] = w
			switch {
			case at > 0:
				u.note(c, at)
			case w.rev == 0 && w.coming == 0:
				delete(u.claims, c.ID)
			}
		}
	}
}

// all are the claims that wait, in order. Nobody changes what they point to.
func (u *unserved) all() []nic.Claim {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := make([]nic.Claim, 0, len(u.claims))
	for _, w := range u.claims {
		all = append(all, *w.claim)
	}
	slices.SortFunc(all, func(x, y nic.Claim) int { return cmp.Compare(x.ID, y.ID) })
	return all
}

// note takes the newest record. The caller holds the lock.
func (u *unserved) note(c nic.Claim, at store.Rev) {
	if w := u.claims[c.ID]; at >= w.rev {
		w.claim, w.rev = &c, at
		u.claims[c.ID] = w
	}
}
