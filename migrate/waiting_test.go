package migrate_test

import (
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
