// Package fenced has all that a process commits fail once its term is over.
package fenced

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/internal/store"
)

// ErrOver: another process leads. It is store.ErrUnavailable: what was asked may be asked
// of that one.
var ErrOver = fmt.Errorf("this controller's term is over, another one leads: %w", store.ErrUnavailable)

// A Store is a store.Store whose commits carry a term, so that a process that was frozen
// and then woken changes nothing any more.
type Store struct {
	store.Store
	term store.Term
}

// New returns s for as long as the term holds.
func New(s store.Store, term store.Term) *Store { return &Store{s, term} }

// Commit is that of store.Store, or fails with ErrOver and writes nothing.
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	check := s.term.Check()
	rev, err := s.Store.Commit(ctx, append(slices.Clip(ops), check)...)
	var conflict *store.ConflictError
	if errors.As(err, &conflict) && conflict.Key == check.Key {
		return 0, fmt.Errorf("commit: %w", ErrOver)
	}
	return rev, err
}

// Holds asks the store whether the term still holds: what is done without a commit is
// done right after that.
func (s *Store) Holds(ctx context.Context) error {
	_, err := s.Commit(ctx)
	return err
}
