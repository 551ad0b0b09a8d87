//go:build linux

package tasks

import (
	"context"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// askAgain is how often orders are asked for although nobody has called Wake.
const askAgain = 30 * time.Second

// Follow asks for orders under the agent's session at once, at each Wake and now
// and then, until ctx ends, which is its error, or the controller's answer is a
// conflict: then nothing that was begun goes on, and the conflict is returned. It
// serves one call at a time.
func (r *Runner) Follow(ctx context.Context, session uint64) error {
	backoff := retry.Backoff{First: 100 * time.Millisecond, Max: askAgain}
	told := ""
	for {
		before := r.atWork()
		tasks, err := r.opts.Controller.Tasks(ctx, r.opts.Node, session)
		wait := askAgain
		switch {
		case err == nil:
			r.take(tasks, before)
			backoff.Reset()
			told = ""
		case ctx.Err() != nil:
			return ctx.Err()
		case r.opts.Superseded(err):
			r.breakOff(errSuperseded)
			return err
		default:
			wait = backoff.Next()
			if err.Error() != told {
				told = err.Error()
				r.opts.Log.Warn("controller does not say what is ordered, will ask again", "node", r.opts.Node, "err", err)
			}
		}
		if err := r.awaitWake(ctx, wait); err != nil {
			return err
		}
	}
}

// awaitWake waits for a Wake or for d, or until ctx ends.
func (r *Runner) awaitWake(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.woken:
	case <-timer.C:
	}
	return ctx.Err()
}
