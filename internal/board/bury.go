package board

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// Bury is that of migrate.Orders.
func (b *Board) Bury(ctx context.Context, move nic.MoveID, node string, session uint64) error {
	if _, err := nic.ParseMoveID(string(move)); err != nil {
		return fmt.Errorf("bury the tasks of a move: %w", err)
	}
	places, _, err := store.ListJSON[string](ctx, b.opts.Store, atKey(nic.TaskID(move)+"."), "", 0)
	if err != nil {
		return err
	}
	for _, p := range places {
		if p.Value != node {
			continue
		}
		if err := b.bury(ctx, nic.TaskID(p.Key[len(atPrefix):]), node, session); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// bury ends one task, unless an agent that came later may have it by now.
func (b *Board) bury(ctx context.Context, id nic.TaskID, node string, session uint64) error {
	buried := false
	task, err := b.change(ctx, node, id, func(t *nic.Task) ([]store.Op, bool, error) {
		record, rev, err := b.node(ctx, node)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, false, err
		}
		if record.Session != session {
			return nil, false, conflict("node %s is at session %d, and was at %d when it was found dead: its agent has started anew", node, record.Session, session)
		}
		if buried = !t.State.Over() && !t.Outlives; !buried {
			return nil, false, nil
		}
		if t.State == nic.TaskPending {
			t.State = nic.TaskCancelled
		} else {
			t.State, t.Error = nic.TaskFailed, "nothing runs on the node any more that could say how it went"
		}
		t.Ended = b.now()
		return []store.Op{store.Check(nodeKey(node), rev)}, true, nil
	})
	if err == nil && buried {
		b.opts.Log.InfoContext(ctx, "task of a dead node ended", append(attrs(task), slog.Uint64("session", session))...)
	}
	return err
}
