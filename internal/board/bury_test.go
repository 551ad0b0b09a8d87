package board_test

import (
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// What a machine's agent had begun when it died is begun by none after it, unless
// that one had started before the machine was found dead.
func TestTasksOfADeadNodeAreOver(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.node("vm1", 1)
		r.node("vm2", 1)
		begun, pending := r.begun("start"), r.order("stop")
		outlives := r.order("undo-create", func(task *nic.Task) { task.Outlives = true })
		other := r.order("other", func(task *nic.Task) { task.Node = "vm2" })
		r.node("vm1", 2)
		if err := r.Bury(ctx, move, "vm1", 1); !api.IsConflict(err) {
			t.Errorf("a node with a newer agent: %v", err)
		}
		if _, err := r.Begin(ctx, begun, "vm1", 2); err != nil {
			t.Errorf("then nothing has changed: %v", err)
		}
		for range 2 {
			if err := r.Bury(ctx, move, "vm1", 2); err != nil {
				t.Fatal(err)
			}
		}
		r.node("vm1", 3)
		for id, want := range map[nic.TaskID]nic.TaskState{begun: nic.TaskFailed, pending: nic.TaskCancelled} {
			if _, err := r.Begin(ctx, id, "vm1", 3); !api.IsConflict(err) {
				t.Errorf("%s is begun again: %v", id, err)
			}
			if task, err := r.Await(ctx, id, nil); err != nil || task.State != want {
				t.Errorf("%s is %s, want %s (%v)", id, task.State, want, err)
			}
		}
		if _, err := r.Begin(ctx, outlives, "vm1", 3); err != nil {
			t.Errorf("what outlives the move: %v", err)
		}
		if _, err := r.Begin(ctx, other, "vm2", 1); err != nil {
			t.Errorf("another node's: %v", err)
		}
		if err := r.Bury(ctx, move, "vm9", 0); err != nil {
			t.Errorf("a node that is forgotten: %v", err)
		}
	})
}
