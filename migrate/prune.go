package migrate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// pruneEvery is the time between two looks at moves that are over.
const pruneEvery = time.Hour

// prune drops moves that ended long ago, until ctx ends.
func (m *Mover) prune(ctx context.Context) {
	for {
		if err := m.pruneOnce(ctx); err != nil && ctx.Err() == nil {
			m.opts.Log.Warn("old moves were not dropped; this is tried again", "error", err)
		}
		if retry.Sleep(ctx, pruneEvery) != nil {
			return
		}
	}
}

func (m *Mover) pruneOnce(ctx context.Context) error {
	records, _, err := store.ListJSON[nic.Move](ctx, m.opts.Store, movePrefix, "", 0)
	if err != nil {
		return fmt.Errorf("list moves: %w", err)
	}
	over := slices.DeleteFunc(records, func(r store.JSON[nic.Move]) bool { return !r.Value.Phase.Over() })
	slices.SortFunc(over, func(a, b store.JSON[nic.Move]) int { return b.Value.Ended.Compare(a.Value.Ended) })
	for i, r := range over {
		if i < keptMoves && time.Since(r.Value.Ended) < keptFor {
			continue
		}
		if err := m.opts.Orders.Forget(ctx, r.Value.ID); err != nil {
			return err
		}
		if _, err := m.opts.Store.Commit(ctx, store.Delete(r.Key, r.Rev), m.term.Check()); err != nil {
			return fmt.Errorf("drop move %s: %w", r.Value.ID, err)
		}
	}
	return nil
}
