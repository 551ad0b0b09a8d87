package allocator

import (
	"slices"
	"sync"

	"github.com/nicferry/nicferry/internal/store"
)

// seating has those who give and end seats on a node take turns: all of them write
// the same NIC's record, and a hundred at once would be in each other's way. It
// spares work and is no guard: the records are.
type seating struct {
	mu    sync.Mutex
	turns map[string]*turn // by node
}

// A turn is that of one node; users are those who have or want it.
type turn struct {
	sync.Mutex
	users int
}

func newSeating() *seating { return &seating{turns: map[string]*turn{}} }

// lock takes the node's turn until the edit is committed, or turns out not to be.
func (s *seating) lock(e *edit, node string) {
	if slices.Contains(e.turns, node) {
		return
	}
	s.mu.Lock()
	t := s.turns[node]
	if t == nil {
		t = &turn{}
		s.turns[node] = t
	}
	t.users++
	s.mu.Unlock()
	t.Lock()
	e.turns = append(e.turns, node)
	unlock := func() {
		t.Unlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(s.turns, node)
		}
	}
	e.undo = append(e.undo, unlock)
	e.after = append(e.after, func(store.Rev) { unlock() })
}
