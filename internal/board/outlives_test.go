package board_test

import (
	"testing"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// A removal on a machine that is off is done when that is on again, although its
// move is over by then; with the node it is forgotten.
func TestATaskOutlivesItsMove(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.node("vm1", 1)
		id := r.order("undo-create", func(task *nic.Task) { task.Kind, task.Outlives = nic.TaskRemove, true })
		r.order("stop")
		if err := r.Forget(ctx, move); err != nil {
			t.Fatal(err)
		}
		tasks, err := r.Tasks(ctx, "vm1", 1)
		if err != nil || len(tasks) != 1 || tasks[0].ID != id {
			t.Fatalf("after its move there are %+v, %v", tasks, err)
		}
		if _, err := r.Begin(ctx, id, "vm1", 1); err != nil {
			t.Fatal(err)
		}
		if err := r.Finish(ctx, id, "vm1", 1, "", nic.TaskResult{}); err != nil {
			t.Fatal(err)
		}
		if err := r.Forget(ctx, move); err != nil {
			t.Fatal(err)
		}
		r.order("undo-create", func(task *nic.Task) { task.Kind, task.Outlives = nic.TaskRemove, true })
		rec, err := r.store.Get(ctx, "node/vm1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.store.Commit(ctx, store.Delete(rec.Key, rec.Rev)); err != nil {
			t.Fatal(err)
		}
		if err := r.Forget(ctx, move); err != nil {
			t.Fatal(err)
		}
		if left, _, err := r.store.List(ctx, "task", "", 0); err != nil || len(left) > 0 {
			t.Errorf("left are %d records, %v", len(left), err)
		}
	})
}
