package vmagent

import (
	"context"
	"fmt"
	"time"
)

// stuckAfter is longer than a run of a container's worker can take while all
// it waits for keeps its deadline: most of them are 30 s, and few follow each
// other.
const stuckAfter = 3 * time.Minute

// Health returns an error when a container's worker is stuck, which no wait of
// ours allows: the kernel does not come back, or a lock is held for good. The
// namespaces that the agent holds then live for as long as it does, so it has
// to be ended. It may be called at any time.
func (a *Agent) Health(context.Context) error {
	if key, age := a.queue.Longest(); age > stuckAfter {
		return fmt.Errorf("work on %.12s has not ended for %s", key, age.Round(time.Second))
	}
	return nil
}
