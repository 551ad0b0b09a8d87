package board

import (
	"cmp"
	"context"
	"log/slog"
	"slices"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// Tasks returns the node's tasks that are pending or running, by move and Seq. A
// session that is not the node's newest, here or in ctx, is a conflict; 0 only
// looks. An unknown node is store.ErrNotFound.
func (b *Board) Tasks(ctx context.Context, node string, session uint64) ([]nic.Task, error) {
	for _, s := range []uint64{session, api.SessionOf(ctx)} {
		if s == 0 {
			continue
		}
		if _, err := b.fence(ctx, node, s); err != nil {
			return nil, err
		}
	}
	if _, _, err := b.node(ctx, node); err != nil {
		return nil, err
	}
	records, _, err := store.ListJSON[nic.Task](ctx, b.opts.Store, taskPrefix(node), "", 0)
	if err != nil {
		return nil, err
	}
	tasks := []nic.Task{}
	for _, r := range records {
		if !r.Value.State.Over() {
			tasks = append(tasks, r.Value)
		}
	}
	slices.SortFunc(tasks, func(a, b nic.Task) int {
		return cmp.Or(cmp.Compare(a.Move, b.Move), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
	})
	return tasks, nil
}

// Begin makes a pending task running: from then on it cannot be cancelled. One
// that runs already may be begun again, also by an agent that has taken the
// former's place. An older session, and a task that is over, is a conflict; one
// that the node does not have is store.ErrNotFound.
func (b *Board) Begin(ctx context.Context, id nic.TaskID, node string, session uint64) (nic.Task, error) {
	if err := checkID(id); err != nil {
		return nic.Task{}, err
	}
	began := false
	task, err := b.change(ctx, node, id, func(t *nic.Task) ([]store.Op, bool, error) {
		newest, err := b.fence(ctx, node, session)
		switch {
		case err != nil:
			return nil, false, err
		case t.State.Over():
			return nil, false, conflict("task %s is %s and must not be carried out", id, t.State)
		}
		began = t.State == nic.TaskPending || t.Session != session
		if t.State == nic.TaskPending {
			t.State, t.Began = nic.TaskRunning, b.now()
		}
		t.Session = session
		return []store.Op{newest}, began, nil
	})
	if err == nil && began {
		b.opts.Log.InfoContext(ctx, "task begun", append(attrs(task), slog.Uint64("session", session))...)
	}
	return task, err
}

// Finish ends a task that the session has begun; it has failed if problem is not
// empty. Said again it is passed over: the first word counts. Not begun by this
// session, or begun anew by another, is a conflict. A result beyond its bounds
// fails the task.
func (b *Board) Finish(ctx context.Context, id nic.TaskID, node string, session uint64, problem string, result nic.TaskResult) error {
	if err := checkID(id); err != nil {
		return err
	}
	problem, result = bound(problem, result)
	ended := false
	task, err := b.change(ctx, node, id, func(t *nic.Task) ([]store.Op, bool, error) {
		newest, err := b.running(ctx, t, session)
		if ended = err == nil && !t.State.Over(); !ended {
			return nil, false, err
		}
		t.State, t.Error, t.Result, t.Ended = nic.TaskDone, problem, result, b.now()
		if problem != "" {
			t.State = nic.TaskFailed
		}
		if result.Copied != nil {
			t.Bytes = result.Copied.Bytes
		}
		return []store.Op{newest}, true, nil
	})
	if err == nil {
		b.pace.forget(id)
	}
	if err == nil && ended {
		b.opts.Log.InfoContext(ctx, "task ended", append(attrs(task), slog.String("err", problem))...)
	}
	return err
}

// running refuses whoever has not begun the task. It may be over since.
func (b *Board) running(ctx context.Context, t *nic.Task, session uint64) (newest store.Op, err error) {
	if newest, err = b.fence(ctx, t.Node, session); err != nil {
		return newest, err
	}
	if t.State == nic.TaskPending || t.State == nic.TaskCancelled || t.Session != session {
		return newest, conflict("task %s is %s and was not begun by session %d of node %s", t.ID, t.State, session, t.Node)
	}
	return newest, nil
}
