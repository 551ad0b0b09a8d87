package migrate_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A parked move that is aborted while what it waits for is still away is parked
// again, and can be aborted again: it is heard each time.
func TestF64_AParkedMoveIsAbortedAgainAndAgain(t *testing.T) {
	bubble(t, provider.Carry, func(t *testing.T, w *world) {
		var struck atomic.Bool
		on := func(e what) error {
			if e.node != nil && e.task.Kind == nic.TaskCreate {
				struck.Store(true)
				w.nodes["vm1"].mute.Store(true) // whose restart policy is to be put back
				return errHarm
			}
			return nil
		}
		w.event.Store(&on)
		id := w.begin(everything())
		parked := func() bool { return w.move(id).Phase == nic.MoveParked }
		w.until(5*time.Minute, "the move is parked", func() bool { return struck.Load() && parked() })
		for range 3 {
			if _, err := w.mover().Abort(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			w.until(10*time.Second, "the move goes back", func() bool { return w.move(id).Phase == nic.MoveBack })
			w.until(time.Minute, "the move is parked again", parked)
		}
		w.nodes["vm1"].mute.Store(false)
		if _, err := w.mover().Abort(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		w.until(time.Minute, "the move is undone", func() bool { return w.move(id).Phase == nic.MoveUndone })
		w.rest(w.move(id))
	})
}
