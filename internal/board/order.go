package board

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// Order is that of migrate.Orders. Of the task, only what is ordered counts: its
// state is the board's to say. The same id for another node is store.ErrInvalid.
func (b *Board) Order(ctx context.Context, task nic.Task) error {
	move, err := moveOf(task.ID)
	if err == nil {
		err = nic.CheckName("node", task.Node)
	}
	if err == nil && (task.Move != move || task.Kind == "" || task.Within <= 0) {
		err = errors.New("it needs its move, a kind, and how long it may take")
	}
	if err != nil {
		return fmt.Errorf("order task %.200q: %w: %w", task.ID, err, store.ErrInvalid)
	}
	task.Schema, task.State, task.Created = nic.Schema, nic.TaskPending, b.now()
	task.Session, task.Bytes, task.Total, task.Error, task.Result = 0, 0, 0, "", nic.TaskResult{}
	task.Began, task.Ended = time.Time{}, time.Time{}
	at, err := store.CreateJSON(atKey(task.ID), task.Node)
	if err != nil {
		return err
	}
	op, err := store.CreateJSON(taskKey(task.Node, task.ID), task)
	if err != nil {
		return err
	}
	_, err = b.opts.Store.Commit(ctx, at, op)
	if errors.Is(err, store.ErrConflict) {
		return b.given(ctx, task)
	}
	if err != nil {
		return fmt.Errorf("order task %s: %w", task.ID, err)
	}
	b.opts.Log.InfoContext(ctx, "task ordered", attrs(task)...)
	return nil
}

// given is whether a task that is there already is the same.
func (b *Board) given(ctx context.Context, task nic.Task) error {
	node, err := b.nodeOf(ctx, task.ID)
	if err == nil && node != task.Node {
		err = fmt.Errorf("order task %s to node %s: node %s has it: %w", task.ID, task.Node, node, store.ErrInvalid)
	}
	return err
}

// Cancel is that of migrate.Orders. One that was never given is store.ErrNotFound.
func (b *Board) Cancel(ctx context.Context, id nic.TaskID) (nic.Task, error) {
	node, err := b.nodeOf(ctx, id)
	if err != nil {
		return nic.Task{}, err
	}
	cancelled := false
	task, err := b.change(ctx, node, id, func(t *nic.Task) ([]store.Op, bool, error) {
		cancelled = t.State == nic.TaskPending
		if cancelled {
			t.State, t.Ended = nic.TaskCancelled, b.now()
		}
		return nil, cancelled, nil
	})
	if err == nil && cancelled {
		b.opts.Log.InfoContext(ctx, "task cancelled", attrs(task)...)
	}
	return task, err
}

// Forget is that of migrate.Orders.
func (b *Board) Forget(ctx context.Context, move nic.MoveID) error {
	if _, err := nic.ParseMoveID(string(move)); err != nil {
		return fmt.Errorf("forget the tasks of a move: %w", err)
	}
	var err error
	for range maxRounds {
		if err = b.forget(ctx, move); !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("forget the tasks of move %s: %w", move, err)
	}
	return nil
}

func (b *Board) forget(ctx context.Context, move nic.MoveID) error {
	places, _, err := store.ListJSON[string](ctx, b.opts.Store, atKey(nic.TaskID(move)+"."), "", 0)
	if err != nil {
		return err
	}
	var ops []store.Op
	for _, p := range places {
		task, rev, err := b.get(ctx, p.Value, nic.TaskID(p.Key[len(atPrefix):]))
		switch {
		case err == nil && b.stays(ctx, task):
			continue
		case err == nil:
			ops = append(ops, store.Delete(taskKey(p.Value, task.ID), rev))
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		ops = append(ops, store.Delete(p.Key, p.Rev))
	}
	if len(ops) == 0 {
		return nil
	}
	_, err = b.opts.Store.Commit(ctx, ops...)
	return err
}

// stays says whether a task is still to be done although its move is over.
func (b *Board) stays(ctx context.Context, task nic.Task) bool {
	if !task.Outlives || task.State.Over() {
		return false
	}
	_, _, err := b.node(ctx, task.Node)
	return !errors.Is(err, store.ErrNotFound)
}

// attrs are what the log says of a task.
func attrs(t nic.Task) []any {
	return []any{
		slog.String("task", string(t.ID)), slog.String("move", string(t.Move)), slog.String("node", t.Node),
		slog.String("kind", string(t.Kind)), slog.String("state", string(t.State)),
	}
}
