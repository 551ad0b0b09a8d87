package allocator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// An outage is since when a provider, or the store, has not answered, and what
// came instead.
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
		a.outages[name] = outage{a.now(), err}
		a.opts.Log.Warn("provider is unreachable: its NICs stay as they are, new ones wait", "provider", name, "err", err)
		a.opts.Events.Add(api.Event{
			Type: api.EventWarning, Reason: nic.ReasonUnreachable, Message: fmt.Sprintf("provider %s does not answer: %s", name, err),
		})
	case known:
		delete(a.outages, name)
		a.opts.Log.Info("provider answers again", "provider", name, "after", a.since(was.since).Round(time.Second))
		a.opts.Events.Add(api.Event{Reason: newsAnswers, Message: fmt.Sprintf("provider %s answers again", name)})
	}
}

// outageConditions are what users see of the outages at providers. The caller
// holds the lock.
func (a *Allocator) outageConditions(of func(provider string) bool) (conditions []nic.Condition) {
	for _, name := range slices.Sorted(maps.Keys(a.outages)) {
		if of(name) {
			o := a.outages[name]
			conditions = append(conditions, nic.Condition{
				Reason: nic.ReasonUnreachable, Since: o.since.UTC(),
				Message: fmt.Sprintf("provider %s does not answer: %s", name, o.err),
			})
		}
	}
	return conditions
}

// A heedful store notes whether the store takes records. A commit that fails,
// such as on a full disk, is ErrStore; that it conflicts is an answer.
type heedful struct {
	store.Store
	noted func(err error)
}

// Commit is the store's.
func (h heedful) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	rev, err := h.Store.Commit(ctx, ops...)
	switch {
	case err == nil && slices.ContainsFunc(ops, store.Op.Writes):
		h.noted(nil)
	case err != nil && !isAnswer(err):
		err = fmt.Errorf("%w: %w", ErrStore, err)
		h.noted(err)
	}
	return rev, err
}

// isAnswer says whether a store's error is one that a store gives which is well;
// or our own, which says nothing of it.
func isAnswer(err error) bool {
	for _, kind := range []error{
		store.ErrNotFound, store.ErrConflict, store.ErrCompacted, store.ErrClosed, store.ErrInvalid, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// stored notes whether the store has taken a commit; nil if it has.
func (a *Allocator) stored(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch was := a.storeOutage; {
	case err == nil && was != nil:
		a.storeOutage = nil
		a.opts.Log.Info("store takes records again", "after", a.since(was.since).Round(time.Second))
		a.opts.Events.Add(api.Event{Reason: newsStoreOK, Message: "the store takes records again"})
	case err != nil && was == nil:
		a.storeOutage = &outage{a.now(), err}
		a.opts.Log.Error("store takes no records: what containers have stays as it is, nothing new begins", "err", err)
		a.opts.Events.Add(api.Event{
			Type: api.EventWarning, Reason: nic.ReasonStoreUnreachable, Message: fmt.Sprintf("the store takes no records: %s", err),
		})
	case err != nil:
		a.storeOutage = &outage{was.since, err}
	}
}

// storeCondition is what users see of the store's outage; none while it is well.
// The caller holds the lock.
func (a *Allocator) storeCondition() []nic.Condition {
	if a.storeOutage == nil {
		return nil
	}
	return []nic.Condition{{
		Reason: nic.ReasonStoreUnreachable, Since: a.storeOutage.since.UTC(),
		Message: fmt.Sprintf("what containers have stays as it is, nothing new begins: %s", a.storeOutage.err),
	}}
}

// withOutages says of what waits for a provider or the store that it is they
// who do not answer, in place of what single calls came to.
func (a *Allocator) withOutages(conditions []nic.Condition, providerName string) []nic.Condition {
	a.mu.Lock()
	defer a.mu.Unlock()
	away := a.outageConditions(func(name string) bool { return name == providerName })
	if len(away) > 0 {
		nic.ClearCondition(&conditions, nic.ReasonProviderError, nic.ReasonWaitingForProvider)
	}
	return append(append(slices.Clip(conditions), away...), a.storeCondition()...)
}
