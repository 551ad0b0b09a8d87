package election

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nicferry/nicferry/internal/store"
)

type term struct {
	election *Election
	key      string
	rev      store.Rev
	seat     chan struct{}
	once     sync.Once
	lost     chan struct{}
}

func (t *term) Number() uint64        { return uint64(t.rev) }
func (t *term) Check() store.Op       { return store.Check(t.key, t.rev) }
func (t *term) Lost() <-chan struct{} { return t.lost }

// Resign removes the record before it frees the seat, so that two terms never
// overlap. If that fails the seat is freed all the same: the next leader
// replaces the record before it leads.
func (t *term) Resign(ctx context.Context) error {
	_, err := t.election.records.Commit(ctx, store.Delete(t.key, t.rev))
	t.election.forget(t)
	t.end()
	if err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrClosed) {
		return fmt.Errorf("remove %q: %w", t.key, err)
	}
	return nil
}

func (t *term) end() {
	t.once.Do(func() {
		close(t.lost)
		<-t.seat
	})
}

func (e *Election) forget(t *term) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.terms, t)
}
