package pulse

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// F42: however often a stuck kernel is asked, one question is out; its end is
// seen by the next.
func TestF42_OneQuestionIsOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, free := 0, make(chan struct{})
		p := New(time.Second, func() error { asked++; <-free; return nil })
		for n := range 100 {
			age, err := p.Beat(t.Context())
			if !errors.Is(err, ErrStuck) || age < time.Second {
				t.Fatalf("question %d: %s, %v; want it stuck after a second", n, age, err)
			}
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		if asked != 1 {
			t.Errorf("100 calls asked %d questions; want 1, as each costs a thread", asked)
		}
		close(free)
		synctest.Wait()
		if took, err := p.Beat(t.Context()); err != nil || took > time.Second || asked != 2 {
			t.Errorf("after it came free: %s, %v, %d questions; want an answer to a second question", took, err, asked)
		}
	})
}

func TestBeatEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		defer close(free)
		p := New(time.Hour, func() error { <-free; return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Beat(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrStuck) {
			t.Errorf("got %v, want the caller's own deadline", err)
		}
	})
}
