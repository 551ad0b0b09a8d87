//go:build libvirt

package virt

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A call that hangs costs its domain and one place, not the others.
func TestHungCallsDoNotPileUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, hung := newCalls(), make(chan struct{})
		var done atomic.Int32
		short := func() (context.Context, context.CancelFunc) { return context.WithTimeout(t.Context(), time.Second) }
		hang := func() error { <-hung; return nil }
		run := func(by user, f func() error) error {
			ctx, cancel := short()
			defer cancel()
			return c.do(ctx, by, func() { done.Add(1) }, f)
		}
		fine := func() error { return nil }
		want(t, run("a", hang), ErrInconclusive)
		want(t, run("a", hang), ErrBusy)
		if err := run("b", fine); err != nil {
			t.Errorf("another domain: %v", err)
		}
		want(t, run("b", hang), ErrInconclusive)
		want(t, run("c", hang), ErrInconclusive)
		want(t, run("d", fine), ErrUnreachable) // no place
		if err := run(reader, fine); err != nil {
			t.Errorf("reader: %v", err)
		}
		want(t, run(reader, hang), ErrUnreachable)
		close(hung)
		synctest.Wait()
		for _, by := range []user{"a", "b", "c", "d", reader} {
			if err := run(by, fine); err != nil {
				t.Errorf("%q afterwards: %v", by, err)
			}
		}
		if done.Load() != 13 {
			t.Errorf("let go of %d times in 13 calls", done.Load())
		}
	})
}
