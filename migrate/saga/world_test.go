package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/migrate/saga"
)

// A fault is what one call of a step comes to.
type fault int

const (
	fine    fault = iota
	refuses       // it fails, and stays so
	passes        // it fails twice in a way that may pass
	hangs         // it returns when its context ends
)

// A plot is one way that a saga may go.
type plot struct {
	steps, pivot int // pivot -1: there is none
	failing      int // the step that has the faults
	do, undo     fault
	crash, abort int // at which moment, -1: never
}

func (p plot) String() string {
	return fmt.Sprintf("%d steps, pivot %d, step %d do %d undo %d, crash at %d, abort at %d", p.steps, p.pivot, p.failing, p.do, p.undo, p.crash, p.abort)
}

// A world is what steps act on, and the journal beside it. What they must never
// do fails the test.
type world struct {
	t *testing.T
	plot

	mu      sync.Mutex
	effects []int // of each step: 0 none, 1 half, 2 all
	stored  saga.Position
	life    int // of the process; older ones write nothing any more
	moments int
	inside  int
	fails   [2]int // how often do and undo have failed
	saga    *saga.Saga[world]
	kill    context.CancelFunc
}

// moment is a point in time at which the process may crash or be told to go back.
func (w *world) moment() {
	w.mu.Lock()
	at := w.moments
	w.moments++
	w.mu.Unlock()
	if at == w.crash {
		w.mu.Lock()
		w.life++
		w.mu.Unlock()
		w.kill()
	}
	if at == w.abort {
		w.saga.Abort("somebody said so")
	}
}

type journal struct {
	w    *world
	life int
}

func (j journal) Save(ctx context.Context, _ *world, at saga.Position) error {
	j.w.moment()
	j.w.mu.Lock()
	if j.life != j.w.life || ctx.Err() != nil {
		j.w.mu.Unlock()
		return errors.Join(ctx.Err(), errors.New("the process is dead"))
	}
	j.w.stored = at
	j.w.mu.Unlock()
	j.w.moment()
	return nil
}

// act is one call of a step, which changes the world in two strokes.
func (w *world) act(ctx context.Context, i int, to int, f fault, name saga.StepState) error {
	w.mu.Lock()
	w.inside++
	if w.inside > 1 {
		w.t.Errorf("%v: two steps are at work at once", w.plot)
	}
	if got := w.stored.Marks[i].State; got != name {
		w.t.Errorf("%v: step %d is called as %s and journaled as %q", w.plot, i, name, got)
	}
	w.checkOrder(i, to)
	fails := &w.fails[to/2]
	w.mu.Unlock()
	defer func() { w.mu.Lock(); w.inside--; w.mu.Unlock() }()
	stroke := func(to int) {
		w.moment()
		w.mu.Lock()
		w.effects[i] = to
		w.mu.Unlock()
		w.moment()
	}
	if i == w.failing {
		switch {
		case f == refuses:
			stroke(1)
			return errors.New("no")
		case f == passes && *fails < 2:
			*fails++
			stroke(1)
			return saga.Again(errors.New("not yet"))
		case f == hangs:
			stroke(1)
			<-ctx.Done()
			return ctx.Err()
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	stroke(1)
	stroke(to)
	return nil
}

// checkOrder: what comes before is done whole, what comes after not at all, and
// nothing is undone beyond the pivot.
func (w *world) checkOrder(i, to int) {
	for before := range i {
		if w.effects[before] != 2 {
			w.t.Errorf("%v: step %d is called and step %d is not done: %v", w.plot, i, before, w.effects)
		}
	}
	for after := i + 1; after < w.steps; after++ {
		if w.effects[after] != 0 {
			w.t.Errorf("%v: step %d is called and step %d has left something: %v", w.plot, i, after, w.effects)
		}
	}
	if to == 0 && w.pivot >= 0 && w.stored.Marks[w.pivot].State == saga.StepDone {
		w.t.Errorf("%v: step %d is undone beyond the pivot", w.plot, i)
	}
}

func (w *world) list() []saga.Step[world] {
	var steps []saga.Step[world]
	for i := range w.steps {
		steps = append(steps, saga.Step[world]{
			Name:         fmt.Sprintf("s%d", i),
			Do:           func(ctx context.Context, _ *world) error { return w.act(ctx, i, 2, w.do, saga.StepDoing) },
			Undo:         func(ctx context.Context, _ *world) error { return w.act(ctx, i, 0, w.undo, saga.StepUndoing) },
			Pivot:        i == w.pivot,
			Deadline:     saga.Within[world](time.Minute),
			UndoDeadline: saga.Within[world](time.Minute),
			Remedy:       func(*world) string { return fmt.Sprintf("mend s%d", i) },
		})
	}
	return steps
}

// run lets processes come and go until the saga is over or parked.
func (w *world) run() saga.Position {
	for range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
		w.kill = cancel
		w.mu.Lock()
		life, at := w.life, w.stored
		w.mu.Unlock()
		s, err := saga.New(saga.Options[world]{Steps: w.list(), Journal: journal{w, life}, State: w, At: at})
		if err != nil {
			w.t.Fatalf("%v: %v", w.plot, err)
		}
		if w.abort >= 0 && w.moments > w.abort { // what is asked is kept
			s.Abort("somebody said so")
		}
		w.saga = s
		at, err = s.Run(ctx)
		cancel()
		if err == nil {
			return at
		}
		if w.life == life {
			return at
		}
	}
	w.t.Fatalf("%v: it does not end", w.plot)
	return saga.Position{}
}

func newWorld(t *testing.T, p plot) *world {
	return &world{t: t, plot: p, effects: make([]int, p.steps)}
}

func all(of []int, is int) bool { return !slices.ContainsFunc(of, func(e int) bool { return e != is }) }
