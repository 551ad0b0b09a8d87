package allocator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/store"
)

// stuckAfter is longer than any single run takes: what is slow at a provider
// is asked for once and looked for again in later runs.
const stuckAfter = 5 * time.Minute

// Health returns an error when the store does not answer before ctx ends, or
// when a run of the queue is stuck. It may be called at any time.
func (a *Allocator) Health(ctx context.Context) error {
	answered := make(chan error, 1)
	go func() { // a disk that hangs listens to no context
		_, err := a.opts.Store.Get(ctx, store.LeaderPrefix+leaderName)
		answered <- err
	}()
	select {
	case err := <-answered:
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("ask the store: %w: %w", ErrStore, err)
		}
	case <-ctx.Done():
		return fmt.Errorf("ask the store: %w: %w", ErrStore, ctx.Err())
	}
	if key, age := a.queue.Longest(); age > stuckAfter {
		return fmt.Errorf("work on %s has not ended for %s", key, age.Round(time.Second))
	}
	return nil
}
