package vmagent

import (
	"context"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// staleGap is the time between two questions after calls that were refused as
// stale.
const staleGap = time.Second

// staleness knows that the controller has refused something because what this
// agent knew is old: a claim has moved on, or another agent has started. Which of
// the two it is, and what is to be done, what is wanted says.
type staleness struct {
	some chan struct{}
	mu   sync.Mutex
	keys map[string]bool // whose calls were refused
}

func newStaleness() *staleness {
	return &staleness{some: make(chan struct{}, 1), keys: map[string]bool{}}
}

// note has what is wanted asked afresh, and the worker look again after that; ""
// is no worker's.
func (s *staleness) note(key string) {
	s.mu.Lock()
	s.keys[key] = true
	s.mu.Unlock()
	select {
	case s.some <- struct{}{}:
	default:
	}
}

// take empties the list.
func (s *staleness) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key := range s.keys {
		if key != "" {
			keys = append(keys, key)
		}
	}
	clear(s.keys)
	return keys
}

// askAfresh reads what is wanted each time that a call was refused as stale, until
// ctx ends or the session is over. Nothing is done again from what was known
// before.
func (a *Agent) askAfresh(ctx context.Context, session uint64) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.stale.some:
		}
		keys := a.stale.take()
		a.opts.Log.Warn("the controller refuses what is stale, asking what is wanted", "node", a.opts.Node, "keys", keys)
		if _, err := a.refresh(ctx, session); err != nil {
			return err
		}
		a.wake(keys)
		a.report.again()
		if err := retry.Sleep(ctx, staleGap); err != nil {
			return err
		}
	}
}
