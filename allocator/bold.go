package allocator

import (
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// A bold edit reads no record of which it is all but sure that there is none, nor that of
// a node which was seen before: its commit demands that this is so. What it decides
// counts only if that passes. Otherwise, and if it comes to no commit, it is decided
// anew with all that the store has.
//
// It is for the claim of an owner that is not known to have one, which is what a
// container that starts has; so such a claim costs the store its commit alone.
func (a *Allocator) embolden(e *edit, owner nic.Owner) {
	_, _, all := a.leadsNow()
	e.bold = all && e.round == 0 && !a.owners.has(owner)
}

// getSeldom is get for a record that is seldom there.
func getSeldom[T any](e *edit, key string) (v T, rev store.Rev, found bool, err error) {
	if e.bold {
		e.fenceAt(key, 0)
		return v, 0, false, nil
	}
	return get[T](e, key)
}

// getNone is get for a record that the edit makes, if there is none.
func getNone[T any](e *edit, key string) (v T, rev store.Rev, found bool, err error) {
	if e.bold {
		return v, 0, false, nil
	}
	return get[T](e, key)
}

// peekSeen is peek for a record that the edit's commit demands to be the same.
func peekSeen[T any](e *edit, key string) (v T, rev store.Rev, found bool, err error) {
	if e.bold {
		if known, at, ok := lastOf[T](e.glances, key); ok {
			return known, at, true, nil
		}
	}
	return peek[T](e, key)
}

// lastOf is a record as it was decoded last.
func lastOf[T any](g *glances, key string) (v T, rev store.Rev, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known, ok := g.all[key]
	if p, is := known.value.(*T); ok && is {
		return *p, known.rev, true
	}
	return v, 0, false
}
