// Package retry gives growing, jittered waits between tries.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// A Backoff grows from First to Max by doubling. The zero value is not useful.
type Backoff struct {
	First, Max time.Duration
	tries      int
}

// Next returns the wait before the next try: between half of and the whole of
// First·2ⁿ, at most Max. The jitter keeps a fleet from knocking in step.
func (b *Backoff) Next() time.Duration {
	d := b.Max
	if b.tries < 32 && b.First<<b.tries < b.Max {
		d = b.First << b.tries
		b.tries++
	}
	return d/2 + rand.N(d/2+1)
}

// Reset starts over, after a success.
func (b *Backoff) Reset() { b.tries = 0 }

// Sleep waits for d or until ctx ends, and returns ctx's error in that case. It
// does so too where there is nothing to wait for.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
