// Package board holds the orders to nodes until they are carried out.
package board

import (
	"context"
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
// to agents. All methods may be called concurrently, and by several controllers.
type Board struct {
	opts Options
}

// New makes a Board. It starts nothing.
func New(opts Options) *Board {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Board{opts: opts}
}

// Order is that of migrate.Orders.
func (b *Board) Order(ctx context.Context, task nic.Task) error { panic("not built yet") }

// Await is that of migrate.Orders. One that was never given, or that is forgotten
// meanwhile, is store.ErrNotFound.
func (b *Board) Await(ctx context.Context, id nic.TaskID, progress func(nic.Task)) (nic.Task, error) {
	panic("not built yet")
}

// Cancel is that of migrate.Orders. One that was never given is store.ErrNotFound.
func (b *Board) Cancel(ctx context.Context, id nic.TaskID) (nic.Task, error) { panic("not built yet") }

// Forget is that of migrate.Orders.
func (b *Board) Forget(ctx context.Context, move nic.MoveID) error { panic("not built yet") }

// Tasks returns the node's tasks that are pending or running, by move and Seq. A
// session that is not the node's newest is a conflict; 0 only looks.
func (b *Board) Tasks(ctx context.Context, node string, session uint64) ([]nic.Task, error) {
	panic("not built yet")
}

// Begin makes a pending task running, or has a running one begun again.
func (b *Board) Begin(ctx context.Context, id nic.TaskID, node string, session uint64) (nic.Task, error) {
	panic("not built yet")
}

// Progress notes how far a task is.
func (b *Board) Progress(ctx context.Context, id nic.TaskID, node string, session uint64, bytes, total int64) error {
	panic("not built yet")
}

// Finish ends a task; it has failed if problem is not empty.
func (b *Board) Finish(ctx context.Context, id nic.TaskID, node string, session uint64, problem string, result nic.TaskResult) error {
	panic("not built yet")
}

// Run sweeps what ended and unknown moves have left, now and then, until ctx ends.
func (b *Board) Run(ctx context.Context) error { panic("not built yet") }
