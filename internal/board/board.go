// Package board holds the orders to nodes until they are carried out.
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

// Options are the parts of a Board.
type Options struct {
	Store store.Store      // required
	Log   *slog.Logger     // required
	Now   func() time.Time // default time.Now
}

// A Board holds orders in the store. It is migrate.Orders, and what the API serves
// to agents. All methods may be called concurrently, and by several controllers
// with one store.
type Board struct {
	opts Options
	pace pace
}

// New makes a Board. It starts nothing.
func New(opts Options) *Board {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Board{opts: opts}
}

// maxRounds bounds how often a change is decided again because somebody else was
// quicker. Somebody always gets through, so many repeats mean something is wrong.
const maxRounds = 50

// change decides on a task as it is, and commits what has become of it together
// with more, again from the start if a record it relied on has changed meanwhile.
// decide that changes nothing says false.
func (b *Board) change(ctx context.Context, node string, id nic.TaskID, decide func(*nic.Task) (more []store.Op, changed bool, err error)) (nic.Task, error) {
	var conflict error
	for range maxRounds {
		task, rev, err := b.get(ctx, node, id)
		if err != nil {
			return nic.Task{}, err
		}
		more, changed, err := decide(&task)
		if err != nil || !changed {
			return task, err
		}
		op, err := store.UpdateJSON(taskKey(node, id), task, rev)
		if err != nil {
			return nic.Task{}, err
		}
		_, err = b.opts.Store.Commit(ctx, append(more, op)...)
		if err == nil {
			return task, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nic.Task{}, fmt.Errorf("change task %s: %w", id, err)
		}
		conflict = err
	}
	return nic.Task{}, fmt.Errorf("change task %s: gave up after %d rounds: %w", id, maxRounds, conflict)
}

// get reads a task with its revision.
func (b *Board) get(ctx context.Context, node string, id nic.TaskID) (nic.Task, store.Rev, error) {
	task, rev, err := store.GetJSON[nic.Task](ctx, b.opts.Store, taskKey(node, id))
	if err != nil {
		return nic.Task{}, 0, fmt.Errorf("read task %s of node %s: %w", id, node, err)
	}
	return task, rev, nil
}

// nodeOf is the node that a task was given to.
func (b *Board) nodeOf(ctx context.Context, id nic.TaskID) (string, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	node, _, err := store.GetJSON[string](ctx, b.opts.Store, atKey(id))
	if err != nil {
		return "", fmt.Errorf("find task %s: %w", id, err)
	}
	return node, nil
}

func (b *Board) now() time.Time { return b.opts.Now().UTC() }
