package allocator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// An outage is since when a provider has not answered, and what came instead.
type outage struct {
	since time.Time
	err   error
}

// reached notes whether a provider has answered a call. An error of its own is
// an answer; only silence is not.
func (a *Allocator) reached(name string, err error) {
	away := errors.Is(err, provider.ErrUnknown) || errors.Is(err, context.DeadlineExceeded)
	if errors.Is(err, context.Canceled) {
		return // it was us
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	was, known := a.outages[name]
	switch {
	case away && known:
		a.outages[name] = outage{was.since, err}
	case away:
		a.outages[name] = outage{time.Now(), err}
		a.opts.Log.Warn("provider is unreachable: its NICs stay as they are, new ones wait", "provider", name, "err", err)
	case known:
		delete(a.outages, name)
		a.opts.Log.Info("provider answers again", "provider", name, "after", time.Since(was.since).Round(time.Second))
	}
}

// outageConditions are what users see of the outages at a node's providers. The
// caller holds the lock.
func (a *Allocator) outageConditions(node nic.Node) (conditions []nic.Condition) {
	for _, name := range slices.Sorted(maps.Keys(a.outages)) {
		o := a.outages[name]
		if _, ok := node.Instances[name]; ok || len(node.Instances) == 0 {
			conditions = append(conditions, nic.Condition{
				Reason: nic.ReasonUnreachable, Since: o.since.UTC(),
				Message: fmt.Sprintf("provider %s does not answer: %s", name, o.err),
			})
		}
	}
	return conditions
}
