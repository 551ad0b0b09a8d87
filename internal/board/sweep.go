package board

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

const (
	sweepEvery = time.Hour
	// unknownFor is how long tasks are kept whose move has no record: those of a
	// plan, whose asker has gone.
	unknownFor = 24 * time.Hour
	// overFor is how long after a move's end its mover may take to forget them.
	overFor = 10 * time.Minute
)

// Run sweeps what ended and unknown moves have left, at once and each hour, until
// ctx ends. It returns nil then.
func (b *Board) Run(ctx context.Context) error {
	for {
		switch moves, err := b.Sweep(ctx); {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrClosed):
			return err
		case err != nil:
			b.opts.Log.WarnContext(ctx, "tasks not swept, again in an hour", slog.Any("err", err))
		case moves > 0:
			b.opts.Log.InfoContext(ctx, "left-over tasks forgotten", slog.Int("moves", moves))
		}
		if retry.Sleep(ctx, sweepEvery) != nil {
			return nil
		}
	}
}

// Sweep forgets the tasks of moves that have ended, and those of unknown ones that
// are older than a day. It says of how many moves.
func (b *Board) Sweep(ctx context.Context) (moves int, err error) {
	tasks, _, err := store.ListJSON[nic.Task](ctx, b.opts.Store, taskRoot, "", 0)
	if err != nil {
		return 0, fmt.Errorf("sweep tasks: %w", err)
	}
	latest := map[nic.MoveID]time.Time{}
	for _, t := range tasks {
		if at := t.Value.Created; at.After(latest[t.Value.Move]) {
			latest[t.Value.Move] = at
		}
	}
	var errs []error
	for move, ordered := range latest {
		left, err := b.leftOver(ctx, move, ordered)
		if err == nil && left {
			if err = b.Forget(ctx, move); err == nil {
				moves++
			}
		}
		errs = append(errs, err)
	}
	return moves, errors.Join(errs...)
}

// leftOver says whether nobody asks for a move's tasks any more, the last of which
// was ordered then.
func (b *Board) leftOver(ctx context.Context, id nic.MoveID, ordered time.Time) (bool, error) {
	move, _, err := store.GetJSON[nic.Move](ctx, b.opts.Store, moveKey(id))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return b.now().Sub(ordered) >= unknownFor, nil
	case err != nil:
		return false, fmt.Errorf("read move %s: %w", id, err)
	}
	return move.Phase.Over() && b.now().Sub(move.Ended) >= overFor, nil
}
