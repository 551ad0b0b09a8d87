// Package undo is a stack of undo steps for work that may fail half-way.
//
//	var u undo.Stack
//	defer u.Rollback(&err)
//	… an effect …
//	u.Push("remove the link", func() error { … })
//	…
//	u.Commit()
//	return nil
package undo

import (
	"errors"
	"fmt"
)

// A Stack holds the undo of every effect so far. The zero Stack is ready.
type Stack struct {
	steps []step
}

type step struct {
	name string
	undo func() error
}

// Push adds the undo of an effect that has just taken place.
func (s *Stack) Push(name string, undo func() error) {
	s.steps = append(s.steps, step{name, undo})
}

// Commit keeps the effects: a later Rollback does nothing.
func (s *Stack) Commit() { s.steps = nil }

// Rollback runs all steps, last first, even when some fail, and joins their
// errors to *err. It is meant to be deferred with the address of a named
// result; after Commit it does nothing.
func (s *Stack) Rollback(err *error) {
	for i := len(s.steps) - 1; i >= 0; i-- {
		if undoErr := s.steps[i].undo(); undoErr != nil {
			*err = errors.Join(*err, fmt.Errorf("undo: %s: %w", s.steps[i].name, undoErr))
		}
	}
	s.steps = nil
}
