//go:build linux

package migrate_test

import (
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Whoever may only look asks for plans without end, of a node that says nothing.
// That keeps nobody from moving anything.
func TestPlansKeepNoMoveFromBeginning(t *testing.T) {
	bubble(t, provider.Carry, func(t *testing.T, w *world) {
		w.addNode("vm3")
		w.nodes["vm3"].start()
		w.until(time.Minute, "vm3 has said hello", func() bool {
			nodes, err := w.alloc().Nodes(t.Context())
			return err == nil && len(nodes) == 3
		})
		w.nodes["vm3"].mute.Store(true)
		for range 20 {
			w.ended.Go(func() {
				_, _ = w.mover().Plan(t.Context(), nic.MoveRequest{Container: "web", To: "vm3"})
			})
		}
		time.Sleep(2 * time.Second)
		begun := time.Now()
		id := w.begin(everything())
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("it took %v to begin a move", took)
		}
		w.until(time.Minute, "the move is done", func() bool { return w.move(id).Phase == nic.MoveDone })
		time.Sleep(time.Minute) // in which the last plan is made
	})
}
