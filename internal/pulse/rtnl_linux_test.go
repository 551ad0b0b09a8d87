package pulse

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// F42: the kernel's lock for links is held for a while, for real. The probe
// says so, leaves one thread waiting, and sees the end.
func TestF42_KernelHoldsItsLock(t *testing.T) {
	ns := netnstest.New(t)
	h, err := link.Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	const limit = 100 * time.Millisecond
	p := New(limit, func() error { _, err := h.ByIndex(1); return err })
	answers(t, p, "before") // others on this machine hold the lock now and then
	release := netnstest.HoldLinks(t, ns)
	goroutines := runtime.NumGoroutine()
	for range 20 {
		if _, err := p.Beat(t.Context()); !errors.Is(err, ErrStuck) {
			t.Fatalf("while the lock is held: %v, want ErrStuck", err)
		}
	}
	if more := runtime.NumGoroutine() - goroutines; more > 1 {
		t.Errorf("20 calls left %d goroutines", more)
	}
	release()
	answers(t, p, "after the lock was free")
}

// answers waits for the kernel to answer within the limit.
func answers(t *testing.T, p *Pulse, when string) {
	t.Helper()
	start := time.Now()
	for {
		took, err := p.Beat(t.Context())
		if err == nil {
			t.Logf("%s: answered after %s; the question took %s", when, time.Since(start), took)
			return
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("%s: no good answer for 30 s: %v", when, err)
		}
		runtime.Gosched()
	}
}
