package migrate_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/migrate/migratetest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Beyond the pivot a node that does not answer is waited for, and the record says
// so, until it does answer.
func TestWhoIsWaitedForIsTold(t *testing.T) {
	bubble(t, provider.Carry, func(t *testing.T, w *world) {
		var mute atomic.Bool
		on := func(e what) error {
			if e.node != nil && e.task.Kind == nic.TaskHealth && !mute.Swap(true) {
				w.nodes["vm1"].mute.Store(true) // whose container is removed last
			}
			return nil
		}
		w.event.Store(&on)
		id := w.begin(everything())
		drop := func() nic.MoveStep { return migratetest.Step(w.move(id), migrate.StepDrop) }
		w.until(2*time.Minute, "it is told who is waited for", func() bool { return drop().Error != "" })
		for _, part := range []string{"remove on vm1", "does not answer", "waited for"} {
			if !strings.Contains(drop().Error, part) {
				t.Errorf("it says %q, want %q in it", drop().Error, part)
			}
		}
		w.nodes["vm1"].mute.Store(false)
		w.until(2*time.Minute, "the move is over", func() bool { return w.move(id).Phase.Over() })
		if drop().Error != "" || w.move(id).Phase != nic.MoveDone {
			t.Errorf("%s, and drop still says %q", w.move(id).Phase, drop().Error)
		}
		w.rest(w.move(id))
	})
}

// On the way back an engine that was just started is given as long as on the way
// there: the move is undone, and does not wait for somebody to resume it.
func TestASlowEngineIsWaitedForOnTheWayBack(t *testing.T) {
	for _, word := range []string{"undo-" + migrate.StepRestartsOff, "undo-" + migrate.StepRestartsOff + "-start", "undo-" + migrate.StepCreate, "undo-" + migrate.StepStop} {
		bubble(t, provider.Carry, func(t *testing.T, w *world) {
			var slow atomic.Bool
			on := func(e what) error {
				switch {
				case e.node == nil || e.after:
				case e.task.Kind == nic.TaskHealth:
					return errors.New("it is not well")
				case strings.Contains(string(e.task.ID), "."+word+"."):
					slow.Store(true)
					time.Sleep(14 * time.Second)
				}
				return nil
			}
			w.event.Store(&on)
			id := w.begin(everything())
			w.until(3*time.Minute, "the move rests", func() bool { p := w.move(id).Phase; return p.Over() || p == nic.MoveParked })
			if m := w.move(id); m.Phase != nic.MoveUndone || !slow.Load() {
				t.Errorf("%s takes 14 s (met: %t): the move is %s: %s", word, slow.Load(), m.Phase, m.Why)
			}
			w.rest(w.move(id))
		})
	}
}
