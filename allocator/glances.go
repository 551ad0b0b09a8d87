package allocator

import (
	"errors"
	"strings"
	"sync"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// glances are records as they were decoded when they changed. The store is asked all
// the same, each time; only what is of the revision that was decoded before is not
// decoded again. A start's records are read some thirty times, and change ten times.
type glances struct {
	copier  copier
	encoder copier // of what is encoded

	mu  sync.Mutex
	all map[string]glance // by key
}

// A glance is a record as it was decoded: a pointer, to what nobody changes.
type glance struct {
	rev   store.Rev
	value any
}

// mostGlances bounds what is remembered of records that were read when they had gone,
// which nobody says again.
const mostGlances = 100_000

func newGlances() *glances {
	return &glances{encoder: copier{drops: true}, all: map[string]glance{}}
}

func (g *glances) of(key string, rev store.Rev) any {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.all[key]; known.rev == rev {
		return known.value
	}
	return nil
}

// worth says whether records of the kind are worth it: the others are small.
func worth(key string) bool {
	return strings.HasPrefix(key, nicPrefix) || strings.HasPrefix(key, claimPrefix) ||
		strings.HasPrefix(key, nodePrefix) || strings.HasPrefix(key, observedPrefix)
}

func (g *glances) put(key string, rev store.Rev, value any) {
	if !worth(key) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.all) >= mostGlances {
		clear(g.all)
	}
	if g.all[key].rev < rev {
		g.all[key] = glance{rev, value}
	}
}

// see remembers what has changed, before anybody is woken to read it, and forgets what
// is gone.
func (g *glances) see(e store.Event) {
	switch {
	case e.Gone:
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.all, e.Key)
	case strings.HasPrefix(e.Key, nicPrefix):
		seeAs[nic.NIC](g, e)
	case strings.HasPrefix(e.Key, claimPrefix):
		seeAs[nic.Claim](g, e)
	}
}

func seeAs[T any](g *glances, e store.Event) {
	if v, err := store.SharedJSON[T](e.Record); err == nil {
		g.put(e.Key, e.Rev, v)
	}
}

// peek is get for who neither writes the record nor changes anything that it points
// to.
func peek[T any](e *edit, key string) (v T, rev store.Rev, found bool, err error) {
	known, rev, err := glimpse[T](e, key)
	if known != nil {
		return *known, rev, true, nil
	}
	return v, rev, false, err
}

// glimpse is peek without a copy: the record itself, which is everybody's, or nil.
func glimpse[T any](e *edit, key string) (known *T, rev store.Rev, err error) {
	record, err := e.store.Get(e.ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if known, ok := e.glances.of(key, record.Rev).(*T); ok {
		return known, record.Rev, nil
	}
	if known, err = store.SharedJSON[T](record); err != nil {
		return nil, record.Rev, err
	}
	e.glances.put(key, record.Rev, known)
	return known, record.Rev, nil
}
