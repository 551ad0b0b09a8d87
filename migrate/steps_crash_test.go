//go:build linux

package migrate_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// crashes plays a move in which the controller is killed at the nth write of the
// move's record, before it or after; n 0 counts them.
func crashes(t *testing.T, n int, after, back bool) (writes int) {
	bubble(t, provider.Carry, func(t *testing.T, w *world) {
		id := w.begin(everything())
		var written atomic.Int32
		commit := func(ops []store.Op, done bool) error {
			ours := slices.ContainsFunc(ops, func(op store.Op) bool { return op.Key == "move/"+string(id) && len(op.Value) > 0 })
			if !ours || done != after {
				return nil
			}
			if int(written.Add(1)) != n {
				return nil
			}
			w.crashController()
			return context.Canceled
		}
		w.commit.Store(&commit)
		w.unswept = true // orders of a move that was over already
		on := func(e what) error {
			if back && !e.after && e.task.Kind == nic.TaskHealth {
				return errHarm
			}
			return nil
		}
		w.event.Store(&on)
		w.until(2*time.Minute, "the move is over", func() bool { return w.move(id).Phase.Over() })
		m := w.move(id)
		if want := map[bool]nic.MovePhase{false: nic.MoveDone, true: nic.MoveUndone}[back]; m.Phase != want {
			t.Errorf("the move is %s, want %s", m.Phase, want)
		}
		w.rest(m)
		writes = int(written.Load())
	})
	return writes
}

// TestF64_TheControllerCrashesAtEachWrite kills it before and after each write of a
// move's record, of one that gets done and of one that goes back.
func TestF64_TheControllerCrashesAtEachWrite(t *testing.T) {
	done, all, passed := 0, 0, 0
	for _, back := range []bool{false, true} {
		writes := crashes(t, 0, true, back)
		for n := 1; n <= writes; n++ {
			for _, after := range []bool{false, true} {
				if passed++; passed%oneIn != 0 {
					continue
				}
				all++
				if t.Run(fmt.Sprintf("back=%v/write %d/after=%v", back, n, after), func(t *testing.T) { crashes(t, n, after, back) }) {
					done++
				}
			}
		}
	}
	t.Logf("%d of %d", done, all)
}
