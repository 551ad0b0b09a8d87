// Package saga does journaled steps one after the other, and takes them back in
// reverse as long as there is a way back.
package saga

import (
	"context"
	"time"
)

// A Step is one part of a saga over the state S. Do and Undo look first: each may
// be called when it was never called, when it was broken off half way, or when it
// is all done, and then makes the rest. They are never called concurrently, and
// return soon after their context ends.
type Step[S any] struct {
	Name string // required; unique in its saga
	Do   func(context.Context, *S) error
	// Undo takes back what Do has done, or part of it; nil: there is nothing to
	// take back. It is tried again after any error but a Final one, until its
	// deadline; then the saga is parked.
	Undo func(context.Context, *S) error
	// Pivot: once this step is done there is no way back, and the rest is tried
	// again without end. A saga has at most one. Its Do is not broken off by an
	// Abort; its Undo may look whether it is done all the same, and return
	// ErrPivoted.
	Pivot bool
	// Deadline is how long Do may take with all its tries, and each of its tries
	// after the pivot. Optional: default 30 s.
	Deadline func(*S) time.Duration
	// UndoDeadline is the same for Undo. Optional: default 30 s.
	UndoDeadline func(*S) time.Duration
	// Remedy says what an operator does when Undo fails for good. Optional.
	Remedy func(*S) string
}

// Within is a Deadline that is always the same.
func Within[S any](d time.Duration) func(*S) time.Duration {
	return func(*S) time.Duration { return d }
}

// A Journal keeps where a saga is. The saga goes on only after Save has returned
// nil, so that an effect is never without its record: what is journaled as begun
// may have had any effect, what is not has had none.
type Journal[S any] interface {
	// Save is tried again after an error until the saga's context ends, unless
	// the error is ErrFenced: then the saga ends at once, as somebody else's.
	Save(ctx context.Context, state *S, at Position) error
}

// Phase is which way a saga goes.
type Phase string

// The phases.
const (
	Forward   Phase = "forward"   // steps are done
	Back      Phase = "back"      // steps are undone, last first
	Finishing Phase = "finishing" // the pivot is done: only forward
	Parked    Phase = "parked"    // an undo has failed for good; see Position.Resume
	Done      Phase = "done"
	Undone    Phase = "undone"
)

// Over says whether nothing more is to be done.
func (p Phase) Over() bool { return p == Done || p == Undone }

// StepState is how far a step is.
type StepState string

// The states of a step.
const (
	StepOpen    StepState = ""        // not begun
	StepDoing   StepState = "doing"   // begun; it may have had any effect
	StepDone    StepState = "done"    //
	StepUndoing StepState = "undoing" // being taken back
	StepUndone  StepState = "undone"  //
)

// A Position is where a saga is, and all that Run needs to go on from there.
type Position struct {
	Phase Phase
	Marks []Mark // one for each step, in order
	// Why it goes back, is parked or was undone.
	Why string
	// Remedy is that of the step at which it is parked.
	Remedy string
}

// A Mark is how far one step is.
type Mark struct {
	Name  string
	State StepState
	Began time.Time // when its Do or its Undo was begun the first time
	Ended time.Time // zero while it is at work
	// Tries counts the beginnings of Do and of Undo, but not those after a crash,
	// which go on with what was begun.
	Tries int
	// Error is what the last try ended with that was no success; empty once the
	// step is done.
	Error string
}
