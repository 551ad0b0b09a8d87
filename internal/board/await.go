package board

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// Await is that of migrate.Orders. One that was never given, or that is forgotten
// meanwhile, is store.ErrNotFound. What agents say wakes it at once, whichever
// controller they say it to.
func (b *Board) Await(ctx context.Context, id nic.TaskID, progress func(nic.Task)) (nic.Task, error) {
	if progress == nil {
		progress = func(nic.Task) {}
	}
	node, err := b.nodeOf(ctx, id)
	if err != nil {
		return nic.Task{}, err
	}
	w := wait{Board: b, key: taskKey(node, id), id: id, progress: progress}
	for {
		over, err := w.follow(ctx)
		switch {
		case over:
			return w.task, nil
		case errors.Is(err, store.ErrCompacted): // fell behind: look again
		case ctx.Err() != nil:
			return w.task, w.unfinished(ctx.Err())
		default:
			return w.task, err
		}
	}
}

// A wait is for one task to be over.
type wait struct {
	*Board
	key      string
	id       nic.TaskID
	progress func(nic.Task)
	task     nic.Task  // as it was last seen
	rev      store.Rev // its revision then
}

// follow looks at the task, and at each change from then on.
func (w *wait) follow(ctx context.Context) (over bool, err error) {
	records, rev, err := w.opts.Store.List(ctx, w.key, "", 1) // the key itself sorts first
	if err != nil {
		return false, err
	}
	if len(records) == 0 || records[0].Key != w.key {
		return false, w.gone()
	}
	if over, err := w.see(records[0]); over || err != nil {
		return over, err
	}
	watch, err := w.opts.Store.Watch(ctx, w.key, rev)
	if err != nil {
		return false, err
	}
	defer watch.Close()
	for {
		events, err := watch.Next(ctx)
		if err != nil {
			return false, err
		}
		for _, e := range events {
			switch {
			case e.Key != w.key: // one with a longer name
			case e.Gone:
				return false, w.gone()
			default:
				if over, err := w.see(e.Record); over || err != nil {
					return over, err
				}
			}
		}
	}
}

func (w *wait) see(rec store.Record) (over bool, err error) {
	task, err := store.DecodeJSON[nic.Task](rec)
	if err != nil {
		return false, err
	}
	if rec.Rev != w.rev && !task.State.Over() {
		w.progress(task)
	}
	w.task, w.rev = task, rec.Rev
	return task.State.Over(), nil
}

func (w *wait) gone() error {
	return fmt.Errorf("wait for task %s: %w", w.id, store.ErrNotFound)
}

// unfinished says how far the task is when nobody waits for it any longer.
func (w *wait) unfinished(why error) error {
	switch w.task.State {
	case nic.TaskRunning:
		return fmt.Errorf("wait for task %s: node %s began it at %s and has not finished: %w",
			w.id, w.task.Node, w.task.Began.Format("15:04:05"), why)
	case nic.TaskPending:
		return fmt.Errorf("wait for task %s: node %s has not begun it: is its agent running, and does it reach the controller? %w",
			w.id, w.task.Node, why)
	}
	return fmt.Errorf("wait for task %s: %w", w.id, why)
}
