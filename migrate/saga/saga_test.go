package saga_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/migrate/saga"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plots are all ways of a saga of n steps, but for when it crashes or is aborted.
func plots(n int) []plot {
	var all []plot
	for pivot := -1; pivot < n; pivot++ {
		all = append(all, plot{steps: n, pivot: pivot, failing: -1})
		for failing := range n {
			for _, do := range []fault{fine, refuses, passes, hangs} {
				for _, undo := range []fault{fine, refuses, passes, hangs} {
					all = append(all, plot{steps: n, pivot: pivot, failing: failing, do: do, undo: undo})
				}
			}
		}
	}
	return all
}

// stays: the failing step lies beyond the pivot and never gets done, so that the
// saga never ends.
func (p plot) stays() bool {
	return p.pivot >= 0 && p.failing > p.pivot && (p.do == refuses || p.do == hangs)
}

func TestF64_AtEveryFailureCrashAndAbortASagaIsWholeOrAsBefore(t *testing.T) {
	total := 0
	for n := 1; n <= longest; n++ {
		for _, p := range plots(n) {
			if p.stays() {
				continue // see TestBeyondThePivotItIsTriedWithoutEnd
			}
			p.crash, p.abort = -1, -1
			moments := play(t, p)
			total++
			for at := range moments {
				crash, abort := p, p
				crash.crash, abort.abort = at, at
				play(t, crash)
				play(t, abort)
				both := abort
				both.crash = at + 1
				play(t, both)
				total += 3
			}
		}
	}
	t.Logf("%d of %d", total, total)
}

// play runs one plot, checks where it ends, and says how many moments it had.
func play(t *testing.T, p plot) (moments int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, p)
		at := w.run()
		switch {
		case at.Phase == saga.Done && all(w.effects, 2), at.Phase == saga.Undone && all(w.effects, 0):
		case at.Phase == saga.Parked && (p.undo == refuses || p.undo == hangs):
			if p.pivot >= 0 && at.Marks[p.pivot].State == saga.StepDone || at.Why == "" || at.Remedy == "" {
				t.Errorf("%v: parked as %+v", p, at)
			}
			unpark(t, w)
		default:
			t.Errorf("%v: it is %s with effects %v: %+v", p, at.Phase, w.effects, at)
		}
		if p.crash < 0 && p.abort < 0 && (p.do == fine || p.do == passes) && at.Phase != saga.Done {
			t.Errorf("%v: it ended %s: %s", p, at.Phase, at.Why)
		}
		moments = w.moments
	})
	return moments
}

// unpark goes on both ways from a parked saga whose trouble is over.
func unpark(t *testing.T, w *world) {
	parked, effects := w.stored, append([]int(nil), w.effects...)
	for way, want := range map[saga.Phase]saga.Phase{saga.Forward: saga.Done, saga.Back: saga.Undone} {
		again := newWorld(t, plot{steps: w.steps, pivot: w.pivot, failing: -1, crash: -1, abort: -1})
		copy(again.effects, effects)
		again.stored = parked
		again.stored.Marks = append([]saga.Mark(nil), parked.Marks...)
		if err := again.stored.Resume(way); err != nil {
			t.Errorf("%v: %v", w.plot, err)
		}
		if at := again.run(); at.Phase != want {
			t.Errorf("%v: parked, and %s it became %s: %s", w.plot, way, at.Phase, at.Why)
		}
	}
}

func TestBeyondThePivotItIsTriedWithoutEnd(t *testing.T) {
	for _, do := range []fault{refuses, hangs} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, plot{steps: 3, pivot: 1, failing: 2, do: do, crash: -1, abort: -1})
			at := w.run() // the process ends after a day
			if at.Phase != saga.Finishing || at.Marks[2].Tries < 100 || at.Marks[2].Error == "" {
				t.Errorf("after a day it is %s after %d tries with %q", at.Phase, at.Marks[2].Tries, at.Marks[2].Error)
			}
			w.do = fine
			if at := w.run(); at.Phase != saga.Done {
				t.Errorf("once it can be done it is %s", at.Phase)
			}
		})
	}
}

// A pivot whose reply is lost is done; its Undo looks, and it goes on forward.
func TestAPivotThatIsDoneAfterAllLeadsForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plot{steps: 3, pivot: 1, failing: -1, crash: -1, abort: -1})
		steps := w.list()
		steps[1].Do = func(context.Context, *world) error { w.effects[1] = 2; return errors.New("no reply") }
		steps[1].Undo = func(context.Context, *world) error { return saga.ErrPivoted }
		s, err := saga.New(saga.Options[world]{Steps: steps, Journal: journal{w, 0}, State: w})
		if err != nil {
			t.Fatal(err)
		}
		w.saga = s
		at, err := s.Run(t.Context())
		if err != nil || at.Phase != saga.Done || !all(w.effects, 2) {
			t.Errorf("it is %s, effects %v, %v", at.Phase, w.effects, err)
		}
	})
}

func TestAFinalErrorParksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plot{steps: 2, pivot: -1, failing: 1, do: refuses, crash: -1, abort: -1})
		steps := w.list()
		steps[0].Undo = func(context.Context, *world) error { return saga.Final(errors.New("two would run")) }
		s, err := saga.New(saga.Options[world]{Steps: steps, Journal: journal{w, 0}, State: w})
		if err != nil {
			t.Fatal(err)
		}
		w.saga = s
		began := time.Now()
		at, err := s.Run(t.Context())
		if err != nil || at.Phase != saga.Parked || at.Marks[0].Tries != 2 || time.Since(began) > 0 {
			t.Errorf("it is %+v after %v, %v", at, time.Since(began), err)
		}
		if want := "step s1: no; and it cannot be taken back: undo of step s0: two would run"; at.Why != want || at.Remedy != "mend s0" {
			t.Errorf("it says %q and %q", at.Why, at.Remedy)
		}
	})
}

// A step that is broken off by an abort has not failed, and no error is noted of it.
func TestWhatIsBrokenOffHasNotFailed(t *testing.T) {
	w := newWorld(t, plot{steps: 2, pivot: -1, failing: -1, crash: -1, abort: -1})
	steps := w.list()
	steps[0].Do = func(ctx context.Context, _ *world) error {
		w.saga.Abort("somebody said so")
		return fmt.Errorf("wait for it: %w", ctx.Err())
	}
	s, err := saga.New(saga.Options[world]{Steps: steps, Journal: journal{w, 0}, State: w})
	if err != nil {
		t.Fatal(err)
	}
	w.saga = s
	if at, err := s.Run(t.Context()); err != nil || at.Phase != saga.Undone || at.Why != "somebody said so" || at.Marks[0].Error != "" {
		t.Errorf("it is %+v, %v", at, err)
	}
}

// An abort that comes while the pivot is at work does not break it off.
func TestAbortDoesNotBreakOffThePivot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plot{steps: 2, pivot: 0, failing: -1, crash: -1, abort: -1})
		steps := w.list()
		steps[0].Do = func(ctx context.Context, _ *world) error {
			w.saga.Abort("too late")
			time.Sleep(time.Second)
			w.effects[0] = 2
			return ctx.Err()
		}
		s, err := saga.New(saga.Options[world]{Steps: steps, Journal: journal{w, 0}, State: w})
		if err != nil {
			t.Fatal(err)
		}
		w.saga = s
		if at, err := s.Run(t.Context()); err != nil || at.Phase != saga.Done {
			t.Errorf("it is %+v, %v", at, err)
		}
	})
}

func TestAPanicIsAnErrorOfItsStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plot{steps: 2, pivot: -1, failing: -1, crash: -1, abort: -1})
		steps := w.list()
		steps[1].Do = func(context.Context, *world) error { panic("here") }
		s, err := saga.New(saga.Options[world]{Steps: steps, Journal: journal{w, 0}, State: w})
		if err != nil {
			t.Fatal(err)
		}
		w.saga = s
		if at, err := s.Run(t.Context()); err != nil || at.Phase != saga.Undone {
			t.Errorf("it is %+v, %v", at, err)
		}
	})
}

type fenced struct{}

func (fenced) Save(context.Context, *world, saga.Position) error { return saga.ErrFenced }

func TestWhoIsFencedDoesNothing(t *testing.T) {
	w := newWorld(t, plot{steps: 1, pivot: -1, failing: -1, crash: -1, abort: -1})
	s, err := saga.New(saga.Options[world]{Steps: w.list(), Journal: fenced{}, State: w})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context()); !errors.Is(err, saga.ErrFenced) || !all(w.effects, 0) {
		t.Errorf("got %v and %v", err, w.effects)
	}
}

func TestNewRefusesWhatIsNoSaga(t *testing.T) {
	nop := func(context.Context, *world) error { return nil }
	step := func(name string, pivot bool) saga.Step[world] {
		return saga.Step[world]{Name: name, Do: nop, Pivot: pivot}
	}
	at := func(names ...string) (p saga.Position) {
		p.Phase = saga.Forward
		for _, n := range names {
			p.Marks = append(p.Marks, saga.Mark{Name: n})
		}
		return p
	}
	var unknown *saga.UnknownStepError
	for name, c := range map[string]struct {
		steps   []saga.Step[world]
		at      saga.Position
		unknown bool
	}{
		"two of a name":        {steps: []saga.Step[world]{step("a", false), step("a", false)}},
		"no name":              {steps: []saga.Step[world]{step("", false)}},
		"no do":                {steps: []saga.Step[world]{{Name: "a"}}},
		"two pivots":           {steps: []saga.Step[world]{step("a", true), step("b", true)}},
		"another step":         {steps: []saga.Step[world]{step("a", false)}, at: at("b"), unknown: true},
		"a step that it lacks": {steps: []saga.Step[world]{step("a", false)}, at: at("a", "b"), unknown: true},
		"a step more":          {steps: []saga.Step[world]{step("a", false), step("b", false)}, at: at("a")},
	} {
		_, err := saga.New(saga.Options[world]{Steps: c.steps, Journal: fenced{}, State: &world{}, At: c.at})
		if err == nil || errors.As(err, &unknown) != c.unknown {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestOnlyAParkedOneIsResumed(t *testing.T) {
	for _, p := range []saga.Phase{saga.Forward, saga.Back, saga.Finishing, saga.Done, saga.Undone} {
		at := saga.Position{Phase: p}
		if at.Resume(saga.Forward) == nil {
			t.Errorf("one that is %s was resumed", p)
		}
	}
	at := saga.Position{Phase: saga.Parked}
	if at.Resume(saga.Finishing) == nil {
		t.Error("a parked one was made to finish")
	}
}
