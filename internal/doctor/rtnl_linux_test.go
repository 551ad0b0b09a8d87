package doctor

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
	p := NewPulse(limit, func() error { _, err := h.ByIndex(1); return err })
	if took, err := p.Beat(t.Context()); err != nil {
		t.Fatalf("before: %s, %v", took, err)
	}
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
	start := time.Now()
	for {
		took, err := p.Beat(t.Context())
		if err == nil {
			t.Logf("answered %s after the lock was free; the question took %s", time.Since(start), took)
			break
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("not well again 30 s after the lock was free: %v", err)
		}
		runtime.Gosched()
	}
}
