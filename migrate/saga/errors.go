package saga

import (
	"errors"
	"fmt"
)

var (
	// ErrPivoted is what the Undo of a pivot says if there is no way back: the
	// saga goes on forward.
	ErrPivoted = errors.New("the pivot is done: there is no way back")
	// ErrFenced is what a journal says that belongs to somebody else by now.
	ErrFenced = errors.New("somebody else runs this")

	errAgain = errors.New("may pass")
	errFinal = errors.New("for good")
)

// Again marks an error of Do that may pass: the step is tried again until its
// deadline. nil stays nil.
func Again(err error) error { return mark(err, errAgain) }

// Final marks an error of Undo that stays whatever is tried: the saga is parked at
// once. nil stays nil.
func Final(err error) error { return mark(err, errFinal) }

// MayPass says whether err was marked by Again.
func MayPass(err error) bool { return errors.Is(err, errAgain) }

// A marked error reads as the one in it.
type marked struct{ err, as error }

func (m marked) Error() string   { return m.err.Error() }
func (m marked) Unwrap() []error { return []error{m.err, m.as} }

func mark(err, as error) error {
	if err == nil {
		return nil
	}
	return marked{err, as}
}

// An UnknownStepError is a journaled step that the saga does not have.
type UnknownStepError struct{ Name string }

func (e *UnknownStepError) Error() string {
	return fmt.Sprintf("step %q is journaled, and this program has none of that name or not at that place: go on with the version that began it", e.Name)
}
