package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

func TestBackoffGrowsToItsMax(t *testing.T) {
	b := retry.Backoff{First: time.Second, Max: 10 * time.Second}
	for i, most := range []time.Duration{1, 2, 4, 8, 10, 10, 10} {
		if d := b.Next(); d < most*time.Second/2 || d > most*time.Second {
			t.Errorf("wait %d: got %v, want %d s at most and half of it at least", i, d, most)
		}
	}
	b.Reset()
	if d := b.Next(); d > time.Second {
		t.Errorf("after Reset: got %v, want at most 1 s", d)
	}
}

func TestSleepEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		if err := retry.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		if d := time.Since(begin); d != time.Minute {
			t.Errorf("slept %v, want 1m", d)
		}
	})
}
