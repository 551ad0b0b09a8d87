package vmagent

import (
	"context"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/pulse"
)

// ErrKernelStuck is in Health's error when the kernel does not let go of its one
// lock for links. No restart helps that, and an agent that waits for the kernel
// cannot even be killed: it is to be left alone until the kernel is done.
var ErrKernelStuck = pulse.ErrStuck

// stuckAfter is longer than a run of a container's worker can take while all
// it waits for keeps its deadline: most of them are 30 s, and few follow each
// other.
const stuckAfter = 3 * time.Minute

// Health returns an error when the kernel is stuck, ErrKernelStuck, or when a
// container's worker is, which no wait of ours allows: a lock is held for good.
// The namespaces that the agent holds then live for as long as it does, so it
// has to be ended. It may be called at any time, and waits for the kernel's
// answer for a few seconds at most.
func (a *Agent) Health(ctx context.Context) error {
	if _, err := a.pulse.Beat(ctx); err != nil {
		return err
	}
	if key, age := a.queue.Longest(); age > stuckAfter {
		return fmt.Errorf("work on %.12s has not ended for %s", key, age.Round(time.Second))
	}
	return nil
}
