//go:build linux

package migrate_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/migrate/migratetest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A machine loses its power when its agent has begun to start the container, and
// the move counts on that. When it is on again, its agent must not carry out that
// order once more: by then the container runs on the other node, or is about to.
func TestF64_AnOrderOfADeadMachineIsNotBegunAgain(t *testing.T) {
	for dies, name := range map[string]string{"vm2": "the target starts it", "vm1": "the source starts it again"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, provider.Carry, func(t *testing.T, w *world) { loseWhileStarting(t, w, dies) })
		})
	}
}

func loseWhileStarting(t *testing.T, w *world, dies string) {
	t.Helper()
	var struck atomic.Bool
	on := func(e what) error {
		switch {
		case e.node == nil:
		case struck.Load():
			if e.node.name == dies && e.task.Kind == nic.TaskStart && !e.after {
				t.Errorf("%s carries out %s when it is on again", dies, e.task.ID)
			}
		case dies == "vm1" && e.task.Kind == nic.TaskHealth:
			return errHarm // which has the move go back
		case e.node.name == dies && e.task.Kind == nic.TaskStart:
			struck.Store(true)
			if dies == "vm2" { // so that the move cannot be undone before that is on again
				w.nodes["vm1"].mute.Store(true)
			}
			e.node.lose()
		}
		return nil
	}
	w.event.Store(&on)
	id := w.begin(nic.MoveRequest{Container: "web", To: "vm2", Options: nic.MoveOptions{
		Volumes: nic.CopyIgnore, Layer: nic.CopyIgnore, Wait: nic.Duration(10 * time.Second),
	}})
	w.until(2*time.Minute, "the move is parked", func() bool { return struck.Load() && w.move(id).Phase == nic.MoveParked })
	lead := func(on func(context.Context, nic.MoveID) (nic.Move, error)) {
		if _, err := on(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if dies == "vm1" {
		lead(w.mover().Resume)
		w.until(time.Minute, "it runs on vm2", func() bool { return migratetest.Step(w.move(id), migrate.StepRestartsOn).State == nic.StepDone })
	}
	w.nodes[dies].back()
	time.Sleep(10 * time.Second) // its agent has asked for orders
	if dies == "vm2" {
		w.nodes["vm1"].mute.Store(false)
		time.Sleep(2 * time.Second)
		lead(w.mover().Abort)
	}
	w.until(time.Minute, "the move is over", func() bool { return w.move(id).Phase.Over() })
	at, box := "vm1", w.web
	if m := w.move(id); m.Phase == nic.MoveDone {
		at, box = "vm2", m.TargetSandbox
	}
	w.until(settled, "reachable on "+at, func() bool { return w.reachable(at, box) })
	if at == dies {
		t.Errorf("it is on %s", at)
	}
	w.sound()
}

// A provider says that the target's machine is off, and its agent is at work: the
// machine may have gone to another hypervisor. The container does not run twice.
func TestF64_WhoSpeaksIsNotDead(t *testing.T) {
	bubble(t, provider.Carry, func(t *testing.T, w *world) {
		var slow atomic.Bool
		on := func(e what) error {
			if e.node != nil && e.node.name == "vm2" && e.task.Kind == nic.TaskStart && e.after && !slow.Swap(true) {
				w.cloud.power("vm2", true)
				time.Sleep(9 * time.Second) // it runs, and Docker has not said so yet
			}
			return nil
		}
		w.event.Store(&on)
		id := w.begin(everything())
		w.until(2*time.Minute, "the move is over", func() bool { return slow.Load() && w.move(id).Phase.Over() })
		w.rest(w.move(id))
	})
}
