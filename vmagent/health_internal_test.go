//go:build linux

package vmagent

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/keyed"
	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/internal/pulse"
)

// F42: while the kernel holds its lock for links, health says so, and it is well
// again without a restart when the kernel is done.
func TestF42_HealthTellsAStuckKernel(t *testing.T) {
	ns := netnstest.New(t)
	h, err := link.Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	work := func(context.Context, string) (time.Duration, error) { return 0, nil }
	a := &Agent{
		queue: keyed.New(keyed.Options{Work: work, Workers: 1, Log: slog.New(slog.DiscardHandler)}),
		pulse: pulse.New(50*time.Millisecond, func() error { _, err := h.ByIndex(1); return err }),
	}
	healthy(t, a, "before") // others on this machine hold the lock now and then
	release := netnstest.HoldLinks(t, ns)
	for range 10 {
		if err := a.Health(t.Context()); !errors.Is(err, ErrKernelStuck) {
			t.Fatalf("while the lock is held: %v, want ErrKernelStuck", err)
		}
	}
	release()
	healthy(t, a, "after the lock was free")
}

// healthy waits until the agent is well.
func healthy(t *testing.T, a *Agent, when string) {
	t.Helper()
	start := time.Now()
	for err := a.Health(t.Context()); err != nil; err = a.Health(t.Context()) {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("%s: not well for 30 s: %v", when, err)
		}
	}
}
