//go:build linux

package packages

import (
	"context"
	"net/netip"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
)

const (
	pingEvery = 10 * time.Millisecond
	pingRound = time.Second
)

// pingUntil pings round after round, and ends with the round in which stop is
// called.
func pingUntil(t *testing.T, from func(context.Context, string, ...string) *exec.Cmd, addr string) (stop func() lab.PingResult) {
	t.Helper()
	target, err := netip.ParseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	var sum lab.PingResult
	var running sync.WaitGroup
	over := make(chan struct{})
	running.Go(func() {
		for {
			r, err := lab.PingFrom(t.Context(), from, target, pingEvery, pingRound, time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			sum.Sent, sum.Received, sum.Lost = sum.Sent+r.Sent, sum.Received+r.Received, sum.Lost+r.Lost
			sum.Duration += r.Duration
			select {
			case <-over:
				return
			default:
			}
		}
	})
	return func() lab.PingResult {
		close(over)
		running.Wait()
		return sum
	}
}
