// Package election gives out leader terms in a store that one process owns.
//
// The leader record is the term: its revision is the term's number, and
// removing or replacing the record ends the term for every commit that carries
// the term's check. A record that is found when nobody leads is that of a
// process that died.
package election

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nicferry/nicferry/internal/store"
)

// value is what a leader record holds.
const value = `{"schema":1}`

// Records is what an election needs of the store. Unlike the public one, this
// Commit takes leader records.
type Records struct {
	Get    func(ctx context.Context, key string) (store.Record, error)
	Commit func(ctx context.Context, ops ...store.Op) (store.Rev, error)
}

// An Election is all leaderships of one store.
type Election struct {
	records Records

	mu     sync.Mutex
	seats  map[string]chan struct{} // by name; full while somebody leads
	terms  map[*term]struct{}
	over   bool
	closed chan struct{}
}

// New returns an election without leaders. End it with Close.
func New(records Records) *Election {
	return &Election{
		records: records,
		seats:   map[string]chan struct{}{},
		terms:   map[*term]struct{}{},
		closed:  make(chan struct{}),
	}
}

// Lead is that of store.Store.
func (e *Election) Lead(ctx context.Context, name string) (store.Term, error) {
	key := store.LeaderPrefix + name
	if err := store.Validate(store.Check(key, 0)); err != nil || name == "" {
		return nil, fmt.Errorf("lead %.100q: not a name: %w", name, errors.Join(err, store.ErrInvalid))
	}
	seat := e.seat(name)
	select {
	case seat <- struct{}{}:
	case <-e.closed:
		return nil, store.ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("lead %q: %w", name, ctx.Err())
	}
	t, err := e.begin(ctx, key, seat)
	if err != nil {
		<-seat
		return nil, fmt.Errorf("lead %q: %w", name, err)
	}
	return t, nil
}

// Close ends all terms, without a write, and refuses new ones. It may be
// called again.
func (e *Election) Close() {
	e.mu.Lock()
	if !e.over {
		e.over = true
		close(e.closed)
	}
	terms := e.terms
	e.terms = nil
	e.mu.Unlock()
	for t := range terms {
		t.end()
	}
}

func (e *Election) seat(name string) chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	seat, ok := e.seats[name]
	if !ok {
		seat = make(chan struct{}, 1)
		e.seats[name] = seat
	}
	return seat
}

// begin writes the leader record over whatever a dead leader left.
func (e *Election) begin(ctx context.Context, key string, seat chan struct{}) (*term, error) {
	old, err := e.records.Get(ctx, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	rev, err := e.records.Commit(ctx, store.Update(key, []byte(value), old.Rev))
	if err != nil {
		return nil, err
	}
	t := &term{election: e, key: key, rev: rev, seat: seat, lost: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return nil, store.ErrClosed
	}
	e.terms[t] = struct{}{}
	return t, nil
}
