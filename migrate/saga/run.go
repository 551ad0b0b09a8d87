package saga

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// The times of a saga.
const (
	deadline  = 30 * time.Second // of a step that names none
	firstWait = 100 * time.Millisecond
	maxWait   = 10 * time.Second // between two tries
)

// Options are the parts of a Saga.
type Options[S any] struct {
	Steps   []Step[S]  // required
	Journal Journal[S] // required
	State   *S         // required; given to all steps
	// At is where the saga is, as it was journaled; the zero Position is at its
	// beginning.
	At Position
}

// A Saga is one run of steps.
type Saga[S any] struct {
	steps   []Step[S]
	journal Journal[S]
	state   *S
	at      Position

	mu     sync.Mutex // guards what follows
	abort  string     // why it is to go back; empty if it is not
	breaks context.CancelFunc
}

// New makes a saga, which Run then runs. Steps that are not those of the journal
// are an *UnknownStepError.
func New[S any](o Options[S]) (*Saga[S], error) {
	if o.At.Phase == "" {
		o.At = start(o.Steps)
	}
	o.At.Marks = slices.Clone(o.At.Marks)
	if err := check(o.Steps, o.At); err != nil {
		return nil, err
	}
	return &Saga[S]{steps: o.Steps, journal: o.Journal, state: o.State, at: o.At}, nil
}

// Run goes on until the saga is over or parked, and returns where it is then. If
// ctx ends first, it returns ctx's error when the running step has returned, and
// a Saga made from the journal goes on from there. ErrFenced ends it likewise. It
// may be called once.
func (s *Saga[S]) Run(ctx context.Context) (Position, error) {
	for {
		var err error
		switch s.at.Phase {
		case Forward:
			err = s.forward(ctx)
		case Back:
			err = s.back(ctx)
		case Finishing:
			err = s.finish(ctx)
		default:
			return s.at, nil
		}
		if err != nil {
			return s.at, err
		}
	}
}

// Abort has the saga go back, if its pivot does not get done: the context of the
// step at work ends, unless it is the pivot. It returns at once and may be called
// at any time; why must not be empty.
func (s *Saga[S]) Abort(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.abort == "" {
		s.abort = why
	}
	if s.breaks != nil {
		s.breaks()
	}
}

// aborted is why it is to go back; empty if it is not.
func (s *Saga[S]) aborted() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.abort
}

// breakable is a context that Abort ends.
func (s *Saga[S]) breakable(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaks = cancel
	if s.abort != "" {
		cancel()
	}
	return ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.breaks = nil
		cancel()
	}
}

// save journals where the saga is. A journal that cannot be written holds it up.
func (s *Saga[S]) save(ctx context.Context) error {
	wait := retry.Backoff{First: firstWait, Max: maxWait}
	for {
		at := s.at
		at.Marks = slices.Clone(at.Marks)
		err := s.journal.Save(ctx, s.state, at)
		if err == nil || errors.Is(err, ErrFenced) {
			return err
		}
		if ended := retry.Sleep(ctx, wait.Next()); ended != nil {
			return ended
		}
	}
}

// begin journals that a step is in a state, before it is called. One that was in
// it already goes on with the same try.
func (s *Saga[S]) begin(ctx context.Context, i int, as StepState) error {
	m := &s.at.Marks[i]
	if m.State == as {
		return nil
	}
	why := m.Error
	if as == StepDoing {
		why = ""
	}
	*m = Mark{Name: m.Name, State: as, Began: time.Now(), Tries: m.Tries + 1, Error: why}
	return s.save(ctx)
}

// again journals that a try has failed, waits, and journals the next one.
func (s *Saga[S]) again(ctx, until context.Context, i int, wait *retry.Backoff, err error) error {
	m := &s.at.Marks[i]
	m.Error = err.Error()
	if err := s.save(ctx); err != nil {
		return err
	}
	if retry.Sleep(until, wait.Next()) != nil {
		return ctx.Err()
	}
	m.Tries++
	return s.save(ctx)
}

// end journals what a step has come to.
func (s *Saga[S]) end(ctx context.Context, i int, as StepState) error {
	m := &s.at.Marks[i]
	m.State, m.Ended = as, time.Now()
	if as == StepDone {
		m.Error = ""
	}
	return s.save(ctx)
}

// call calls a step. A panic of it is its error.
func (s *Saga[S]) call(ctx context.Context, f func(context.Context, *S) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f(ctx, s.state)
}

// within is the deadline that a step names, or the default.
func within[S any](named func(*S) time.Duration, state *S) time.Duration {
	if named == nil {
		return deadline
	}
	return named(state)
}
