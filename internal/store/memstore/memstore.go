// Package memstore keeps records in memory: for tests, and for whoever can
// afford to lose them with the process.
package memstore

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/tidwall/btree"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/election"
	"github.com/nicferry/nicferry/internal/store/history"
)

// Options of a store.
type Options struct {
	// History is how many commits are kept for watches. Optional; 0:
	// history.DefaultKeep.
	History int
}

// A Store is a store.Store in memory.
type Store struct {
	election *election.Election
	log      *history.Log

	mu      sync.RWMutex
	closed  bool
	rev     store.Rev
	records btree.Map[string, store.Record] // values are never changed in place
}

var _ store.Store = (*Store)(nil)

// New returns an empty store.
func New(opts Options) *Store {
	s := &Store{log: history.New(0, opts.History)}
	s.election = election.New(election.Records{Get: s.Get, Commit: s.commit})
	return s
}

// Get is that of store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx); err != nil {
		return store.Record{}, fmt.Errorf("get record %q: %w", key, err)
	}
	r, ok := s.records.Get(key)
	if !ok {
		return store.Record{}, fmt.Errorf("get record %q: %w", key, store.ErrNotFound)
	}
	return clone(r), nil
}

// List is that of store.Store.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]store.Record, store.Rev, error) {
	if err := store.ValidateList(limit); err != nil {
		return nil, 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx); err != nil {
		return nil, 0, fmt.Errorf("list records %q: %w", prefix, err)
	}
	var list []store.Record
	s.records.Ascend(max(prefix, after), func(key string, r store.Record) bool {
		if key == after && after != "" {
			return true
		}
		if !strings.HasPrefix(key, prefix) || limit > 0 && len(list) == limit {
			return false
		}
		list = append(list, clone(r))
		return true
	})
	return list, s.rev, nil
}

// Commit is that of store.Store.
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	if err := store.Validate(ops...); err != nil {
		return 0, err
	}
	return s.commit(ctx, ops...)
}

// Watch is that of store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Rev) (store.Watch, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx); err != nil {
		return nil, fmt.Errorf("watch %q: %w", prefix, err)
	}
	return s.log.Watch(prefix, from, s.rev)
}

// Lead is that of store.Store.
func (s *Store) Lead(ctx context.Context, name string) (store.Term, error) {
	return s.election.Lead(ctx, name)
}

// Close is that of store.Store. The records are gone.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.records.Clear()
	s.mu.Unlock()
	s.election.Close()
	s.log.Close()
	return nil
}

func (s *Store) commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	writes := false
	for _, op := range ops {
		have, _ := s.records.Get(op.Key) // 0 if there is none
		if err := op.Meets(have.Rev); err != nil {
			return 0, err
		}
		writes = writes || op.Writes()
	}
	if !writes {
		return s.rev, nil
	}
	s.rev++
	var events []store.Event
	for _, op := range ops {
		if op.Writes() {
			events = append(events, s.write(op))
		}
	}
	s.log.Append(events)
	return s.rev, nil
}

// write carries out an op whose expectation holds.
func (s *Store) write(op store.Op) store.Event {
	if op.Kind == store.OpDelete {
		s.records.Delete(op.Key)
		return store.Event{Record: store.Record{Key: op.Key, Rev: s.rev}, Gone: true}
	}
	rec := store.Record{Key: op.Key, Value: bytes.Clone(op.Value), Rev: s.rev}
	s.records.Set(op.Key, rec)
	return store.Event{Record: rec}
}

func (s *Store) ready(ctx context.Context) error {
	if s.closed {
		return store.ErrClosed
	}
	return ctx.Err()
}

func clone(r store.Record) store.Record {
	r.Value = bytes.Clone(r.Value)
	return r
}
