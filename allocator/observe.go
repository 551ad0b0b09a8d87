package allocator

import (
	"context"
	"errors"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// An Observer is told of what the allocator does as it happens, for metrics.
// Its methods return at once and may be called by any number of goroutines.
type Observer interface {
	// Stepped: a NIC has taken a step on its way into a container.
	Stepped(step string, took time.Duration)
	// Called: a call to a provider has ended. The result is ok, or the kind of
	// its error.
	Called(provider, verb, result string, took time.Duration)
	// Throttled: a provider has refused a call because there were too many.
	Throttled(provider, verb string)
	// Waited: a NIC has to wait for its turn to be asked for.
	Waited(provider, verb string)
	// Committed: a commit to the store has ended: ok, conflict or failed.
	Committed(result string, took time.Duration)
	// Refused: a claim has become refused.
	Refused(reason nic.Reason)
	// Found: the sweep has found a difference; Mended: it has acted upon one.
	Found(kind string)
	Mended(kind string)
}

// blind observes nothing.
type blind struct{}

func (blind) Stepped(string, time.Duration)                {}
func (blind) Called(string, string, string, time.Duration) {}
func (blind) Throttled(string, string)                     {}
func (blind) Waited(string, string)                        {}
func (blind) Committed(string, time.Duration)              {}
func (blind) Refused(nic.Reason)                           {}
func (blind) Found(string)                                 {}
func (blind) Mended(string)                                {}

// An observed provider tells of each call that gets through to it.
type observed struct {
	provider.Provider
	name string // the configured one
	by   Observer
}

// Unwrap is for provider.As.
func (o observed) Unwrap() provider.Provider { return o.Provider }

// tell notes a call that has ended; it began at start.
func (o observed) tell(verb string, start time.Time, err error) {
	result := resultOf(err)
	o.by.Called(o.name, verb, result, time.Since(start))
	if errors.Is(err, provider.ErrThrottled) {
		o.by.Throttled(o.name, verb)
	}
}

// Create is the provider's.
func (o observed) Create(ctx context.Context, spec nic.Spec) (nic.Seen, error) {
	start := time.Now()
	seen, err := o.Provider.Create(ctx, spec)
	o.tell(opCreate, start, err)
	return seen, err
}

// Attach is the provider's.
func (o observed) Attach(ctx context.Context, id nic.ID, place nic.Place) (nic.Seen, error) {
	start := time.Now()
	seen, err := o.Provider.Attach(ctx, id, place)
	o.tell(opAttach, start, err)
	return seen, err
}

// Detach is the provider's.
func (o observed) Detach(ctx context.Context, id nic.ID, instance nic.InstanceID) error {
	start := time.Now()
	err := o.Provider.Detach(ctx, id, instance)
	o.tell(opDetach, start, err)
	return err
}

// Delete is the provider's.
func (o observed) Delete(ctx context.Context, id nic.ID) error {
	start := time.Now()
	err := o.Provider.Delete(ctx, id)
	o.tell(opDelete, start, err)
	return err
}

// Get is the provider's.
func (o observed) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	start := time.Now()
	seen, err := o.Provider.Get(ctx, ids...)
	o.tell("get", start, err)
	return seen, err
}

// List is the provider's.
func (o observed) List(ctx context.Context) ([]nic.Seen, error) {
	start := time.Now()
	seen, err := o.Provider.List(ctx)
	o.tell("list", start, err)
	return seen, err
}

// Limits is the provider's.
func (o observed) Limits(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	start := time.Now()
	limits, err := o.Provider.Limits(ctx, instance)
	o.tell("limits", start, err)
	return limits, err
}

// resultOf is a provider's error in one word. A deletion ends in not_found.
func resultOf(err error) string {
	if err == nil {
		return "ok"
	}
	for _, kind := range []struct {
		err  error
		word string
	}{
		{provider.ErrNotFound, "not_found"},
		{provider.ErrExhausted, "exhausted"},
		{provider.ErrThrottled, "throttled"},
		{provider.ErrBusy, "busy"},
		{provider.ErrElsewhere, "elsewhere"},
		{provider.ErrDenied, "denied"},
		{provider.ErrInvalid, "invalid"},
		{provider.ErrUnsupported, "unsupported"},
		{provider.ErrUnknown, "unknown"},
	} {
		if errors.Is(err, kind.err) {
			return kind.word
		}
	}
	return "other"
}

// A timed store tells of each commit.
type timed struct {
	store.Store
	by Observer
}

// Commit is the store's.
func (t timed) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	start := time.Now()
	rev, err := t.Store.Commit(ctx, ops...)
	result := "ok"
	switch {
	case errors.Is(err, store.ErrConflict):
		result = "conflict"
	case err != nil:
		result = "failed"
	}
	t.by.Committed(result, time.Since(start))
	return rev, err
}
