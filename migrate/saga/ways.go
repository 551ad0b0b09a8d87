package saga

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// forward does the next step, or turns back.
func (s *Saga[S]) forward(ctx context.Context) error {
	i := s.at.next()
	if i < 0 {
		return s.enter(ctx, Done, "")
	}
	step := s.steps[i]
	if why := s.aborted(); why != "" && (!step.Pivot || s.at.Marks[i].State != StepDoing) {
		return s.enter(ctx, Back, why)
	}
	if err := s.begin(ctx, i, StepDoing); err != nil {
		return err
	}
	err := s.do(ctx, i)
	switch {
	case err == nil:
		if step.Pivot {
			s.at.Phase = Finishing
		}
		return s.end(ctx, i, StepDone)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrFenced):
		return err
	}
	why := s.aborted()
	if why == "" || !errors.Is(err, context.Canceled) { // else it was broken off, and has not failed
		s.at.Marks[i].Error = err.Error()
	}
	if why != "" {
		return s.enter(ctx, Back, why)
	}
	return s.enter(ctx, Back, fmt.Sprintf("step %s: %v", step.Name, err))
}

// do tries a step until it is done, its deadline is over, it is broken off, or its
// error is none that may pass.
func (s *Saga[S]) do(ctx context.Context, i int) error {
	step, took := s.steps[i], within(s.steps[i].Deadline, s.state)
	until, cancel := context.WithTimeout(ctx, took)
	defer cancel()
	if !step.Pivot {
		until, cancel = s.breakable(until)
		defer cancel()
	}
	wait := retry.Backoff{First: firstWait, Max: maxWait}
	for {
		err := s.call(until, step.Do)
		switch {
		case err == nil, ctx.Err() != nil:
			return err
		case until.Err() != nil:
			return late(until, err, took)
		case !MayPass(err):
			return err
		}
		if ended := s.again(ctx, until, i, &wait, err); ended != nil {
			return ended
		}
		if until.Err() != nil {
			return late(until, err, took)
		}
	}
}

// finish tries a step after the pivot until it is done.
func (s *Saga[S]) finish(ctx context.Context) error {
	i := s.at.next()
	if i < 0 {
		return s.enter(ctx, Done, "")
	}
	if err := s.begin(ctx, i, StepDoing); err != nil {
		return err
	}
	wait := retry.Backoff{First: firstWait, Max: maxWait}
	for {
		took := within(s.steps[i].Deadline, s.state)
		until, cancel := context.WithTimeout(ctx, took)
		err := s.call(until, s.steps[i].Do)
		if err != nil && until.Err() != nil && ctx.Err() == nil {
			err = late(until, err, took)
		}
		cancel()
		if err == nil {
			return s.end(ctx, i, StepDone)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, ErrFenced) {
			return err
		}
		if err := s.again(ctx, ctx, i, &wait, err); err != nil {
			return err
		}
	}
}

// back undoes the last step that left something, or parks.
func (s *Saga[S]) back(ctx context.Context) error {
	i := s.at.last()
	if i < 0 {
		return s.enter(ctx, Undone, s.at.Why)
	}
	step := s.steps[i]
	if step.Undo == nil {
		return s.end(ctx, i, StepUndone)
	}
	if err := s.begin(ctx, i, StepUndoing); err != nil {
		return err
	}
	err := s.undo(ctx, i)
	switch {
	case err == nil:
		return s.end(ctx, i, StepUndone)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrFenced):
		return err
	case step.Pivot && errors.Is(err, ErrPivoted):
		s.at.Phase, s.at.Why = Finishing, ""
		return s.end(ctx, i, StepDone)
	}
	s.at.Marks[i].Error = err.Error()
	if step.Remedy != nil {
		s.at.Remedy = step.Remedy(s.state)
	}
	return s.enter(ctx, Parked, s.at.Why+notBack+fmt.Sprintf("undo of step %s: %v", step.Name, err))
}

// undo tries until a step is undone, its deadline is over, or it is final.
func (s *Saga[S]) undo(ctx context.Context, i int) error {
	step, took := s.steps[i], within(s.steps[i].UndoDeadline, s.state)
	until, cancel := context.WithTimeout(ctx, took)
	defer cancel()
	wait := retry.Backoff{First: firstWait, Max: maxWait}
	for {
		err := s.call(until, step.Undo)
		switch {
		case err == nil, ctx.Err() != nil, errors.Is(err, errFinal), errors.Is(err, ErrPivoted), errors.Is(err, ErrFenced):
			return err
		case until.Err() != nil:
			return late(until, err, took)
		}
		if ended := s.again(ctx, until, i, &wait, err); ended != nil {
			return ended
		}
		if until.Err() != nil {
			return late(until, err, took)
		}
	}
}

// enter journals a new phase.
func (s *Saga[S]) enter(ctx context.Context, phase Phase, why string) error {
	s.at.Phase, s.at.Why = phase, why
	return s.save(ctx)
}

// late is the error of a step that was broken off, with what it said last.
func late(until context.Context, err error, took time.Duration) error {
	if errors.Is(until.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("not done within %v: %w", took, err)
	}
	return err
}
