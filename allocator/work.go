package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Deadlines of the waits that a NIC goes through. When one passes, the wait
// is either given up (plug) or shown as overdue (return): a NIC that may still
// be somewhere is never forgotten.
const (
	plugDeadline   = 5 * time.Minute // F09: an attach that never arrives
	returnDeadline = time.Minute
	callsPerRun    = 4                     // provider calls in one run of work, at most
	deleteAgain    = 20 * time.Millisecond // a provider that deletes at once is done with the second call
)

// work is what the queue runs for a record that may need something.
func (a *Allocator) work(ctx context.Context, key string) (time.Duration, error) {
	if id, ok := strings.CutPrefix(key, claimPrefix); ok {
		return a.workOnClaim(ctx, nic.ClaimID(id))
	}
	if key == forgetKey {
		return a.forgetDue(ctx)
	}
	if key == refusedKey {
		return 0, a.retryRefused(ctx)
	}
	if node, ok := strings.CutPrefix(key, poolRoot); ok {
		return a.refill(ctx, node)
	}
	return a.workOnNIC(ctx, nic.ID(strings.TrimPrefix(key, nicPrefix)))
}

func (a *Allocator) workOnNIC(ctx context.Context, id nic.ID) (time.Duration, error) {
	begin := time.Now()
	n, _, found, err := get[nic.NIC](a.look(ctx), nicKey(id))
	if err != nil {
		return 0, err
	}
	n.ID = id
	defer a.refund(n, begin)
	if !found {
		a.landed(id)
		a.countSlot(nic.NIC{ID: id})
		a.queue.Wake(refusedKey) // there may be a slot now
		return 0, nil
	}
	a.countSlot(n)
	p, ok := a.opts.Providers[n.Provider]
	if !ok {
		return 0, a.note(ctx, id, a.because(nic.ReasonProviderError,
			"no provider %q in the controller's config: put it back, or this NIC cannot be given back", n.Provider))
	}
	ctx, cancel := context.WithTimeout(ctx, callsPerRun*worstCall(p))
	defer cancel()
	switch n.Phase {
	case nic.PhasePlanned:
		return a.plug(ctx, p, n)
	case nic.PhaseReturning:
		return a.unplug(ctx, p, n)
	case nic.PhaseRetiring:
		return a.retire(ctx, p, n)
	case nic.PhaseCooling:
		return a.thaw(ctx, n)
	}
	a.landed(id)
	if err := a.unnote(ctx, n); err != nil {
		return 0, err
	}
	return a.awaitSight(ctx, p, n)
}

// plug brings a planned NIC to its node: place, create, attach. Each step's
// outcome is stored before the next begins, and each may be repeated.
func (a *Allocator) plug(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	if a.since(plugBegan(n)) > plugDeadline && (n.Placed || !waitsForTurn(n)) {
		return 0, a.giveUp(ctx, n, a.because(nic.ReasonProviderError,
			"provider %s has not plugged the NIC in within %s; its last word: %s", n.Provider, plugDeadline, lastWord(n)))
	}
	if !n.Placed {
		return a.place(ctx, p, n)
	}
	switch n.Seen.State {
	case "":
		seen, err := p.Create(ctx, tokened(n))
		return a.seen(ctx, n, seen, err)
	case nic.StateAvailable:
		seen, err := p.Attach(ctx, n.ID, nic.Place{Node: n.Node, Instance: n.Instance})
		return a.seen(ctx, n, seen, err)
	case nic.StateAttached:
		if n.Seen.Place.Instance != n.Instance {
			return 0, a.giveUp(ctx, n, a.because(nic.ReasonProviderError, "plugged into %s instead of %s", n.Seen.Place.Instance, n.Instance))
		}
		return 0, a.hold(ctx, n)
	case nic.StateFailed, nic.StateDeleting:
		return 0, a.giveUp(ctx, n, a.because(nic.ReasonProviderError, "provider %s: NIC is %s: %s", n.Provider, n.Seen.State, n.Seen.Reason))
	}
	a.lookAt(n, n.Seen.State) // creating, attaching, detaching: the poller looks
	if err := a.note(ctx, n.ID, &nic.Condition{
		Reason:   nic.ReasonWaitingForProvider,
		Message:  fmt.Sprintf("provider %s says that the NIC is %s", n.Provider, n.Seen.State),
		Since:    n.Since,
		Deadline: plugBegan(n).Add(plugDeadline),
	}); err != nil {
		return 0, err
	}
	if n.Seen.State == nic.StateAttaching {
		return a.insist(ctx, p, n)
	}
	return plugDeadline - a.since(plugBegan(n)) + time.Second, nil
}

// plugBegan is when the deadline of a plugging began: when the NIC was placed,
// or planned before that.
func plugBegan(n nic.NIC) time.Time {
	if n.Asked.IsZero() {
		return n.Since
	}
	return n.Asked
}

// waitsForTurn says whether the NIC is not made yet because others are before it.
func waitsForTurn(n nic.NIC) bool {
	return slices.ContainsFunc(n.Conditions, func(c nic.Condition) bool { return c.Reason == nic.ReasonWaitingForTurn })
}

// unplug brings a returning NIC home: it waits for the node's word that the
// NIC is out and clean, has it unplugged, and retires it.
func (a *Allocator) unplug(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	if told(n) && !n.Clean { // also where the provider sees nothing of it: that is one reader's word
		return 0, a.note(ctx, n.ID, &nic.Condition{
			Reason:   nic.ReasonWaitingForNode,
			Message:  fmt.Sprintf("node %s has not reported the NIC out and clean", n.Node),
			Since:    n.Since,
			Deadline: n.Since.Add(returnDeadline),
		})
	}
	if !n.Placed {
		return 0, a.retireFrom(ctx, n.ID) // the provider was never asked
	}
	if stateOf(n) == pool.Clean { // its node's pools decide, and wake it
		a.queue.Wake(poolRoot + n.Node)
		return 0, nil
	}
	all, err := p.Get(ctx, n.ID)
	if err != nil {
		return a.failed(ctx, n, err)
	}
	seen, visible := all[n.ID]
	if !visible {
		return 0, a.retireFrom(ctx, n.ID) // Delete has the last word on whether it is gone
	}
	switch seen.State {
	case nic.StateAttached, nic.StateAttaching:
		err := p.Detach(ctx, n.ID, seen.Place.Instance)
		if err != nil && !errors.Is(err, provider.ErrNotFound) {
			return a.failed(ctx, n, err)
		}
		return deleteAgain, nil
	case nic.StateDetaching: // a guest that boots forgets what it was asked, and may refuse (F21, F27)
		err := p.Detach(ctx, n.ID, seen.Place.Instance)
		if err != nil && !errors.Is(err, provider.ErrNotFound) {
			return a.failed(ctx, n, err)
		}
		a.lookAt(n, seen.State)
		return 4 * a.opts.Poll, a.overdue(ctx, n, seen)
	case nic.StateCreating:
		a.lookAt(n, seen.State)
		return 4 * a.opts.Poll, a.overdue(ctx, n, seen)
	}
	return 0, a.retireFrom(ctx, n.ID)
}

// overdue shows a detach that does not end (F10). It is waited for, however
// long: what may still be in a guest is not given to anybody else.
func (a *Allocator) overdue(ctx context.Context, n nic.NIC, seen nic.Seen) error {
	if a.since(n.Since) < returnDeadline {
		return nil
	}
	return a.note(ctx, n.ID, &nic.Condition{
		Reason:  nic.ReasonWaitingForProvider,
		Message: fmt.Sprintf("provider %s says that the NIC is %s from %s; a guest that hangs does not let go of it", n.Provider, seen.State, n.Node),
		Since:   n.Since, Deadline: n.Since.Add(returnDeadline),
	})
}

// told says whether the node may have been told of the NIC: it is, once the
// recipe is known.
func told(n nic.NIC) bool { return n.Seen.Device.Kind != "" }

// retire deletes a NIC until the provider says that it is gone, then ends its
// record.
func (a *Allocator) retire(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	if n.Placed {
		err := p.Delete(ctx, n.ID)
		switch {
		case err == nil:
			return a.deleting(ctx, n)
		case errors.Is(err, provider.ErrBusy): // plugged in still: it was not seen when it was to be unplugged
			if detachErr := p.Detach(ctx, n.ID, cmp.Or(n.Seen.Place.Instance, n.Instance)); detachErr != nil {
				err = errors.Join(err, detachErr)
			}
			return a.failed(ctx, n, err)
		case !errors.Is(err, provider.ErrNotFound):
			return a.failed(ctx, n, err)
		}
		if hidden := a.hiddenFor(p, n); hidden > 0 {
			return min(hidden, time.Second), nil // too young for "not found" to be proof
		}
	}
	err := a.asLeader(ctx, func(e *edit) error { return a.end(e, n.ID) })
	return 0, a.logged(n, "NIC deleted", err)
}

// deleting says when to ask again after a NIC that the provider is deleting:
// soon, and then less and less often. A delete that takes long is shown.
func (a *Allocator) deleting(ctx context.Context, n nic.NIC) (time.Duration, error) {
	since := a.since(n.Since)
	again := min(max(deleteAgain, since/2), 4*a.opts.Poll)
	if since < returnDeadline {
		return again, nil
	}
	return again, a.note(ctx, n.ID, &nic.Condition{
		Reason:  nic.ReasonWaitingForProvider,
		Message: fmt.Sprintf("provider %s has been told to delete the NIC and does not say that it is gone", n.Provider),
		Since:   n.Since, Deadline: n.Since.Add(returnDeadline),
	})
}

// hiddenFor is how long the provider may still not show a retiring NIC that it
// has. It may have been made at any time until the plugging was given up, which
// is bounded both by the phases and by the deadline.
func (k clock) hiddenFor(p provider.Provider, n nic.NIC) time.Duration {
	visible := p.Info().VisibleAfter
	if visible == 0 {
		return 0
	}
	made := later(n.Created, n.Asked).Add(plugDeadline + callsPerRun*worstCall(p))
	if n.Since.Before(made) {
		made = n.Since
	}
	return visible - k.since(made)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// end removes the NIC's record and settles its holder: a releasing claim ends
// with it, one whose container runs again gets a new NIC.
func (a *Allocator) end(e *edit, id nic.ID) error {
	n, rev, found, err := get[nic.NIC](e, nicKey(id))
	if err != nil || !found {
		return err
	}
	e.delete(nicKey(id), rev)
	for _, key := range []string{onKey(n.Node, id), observedKey(id)} {
		if err := e.drop(key); err != nil {
			return err
		}
	}
	if err := a.letMACGo(e, n); err != nil {
		return err
	}
	claim, claimRev, found, err := get[nic.Claim](e, claimKey(n.Holder))
	if err != nil || !found || claim.NIC != id {
		return err
	}
	return a.settle(e, claim, claimRev)
}

func (a *Allocator) settle(e *edit, claim nic.Claim, rev store.Rev) error {
	if claim.Phase == nic.ClaimReleasing {
		return a.forget(e, claim, rev)
	}
	claim.NIC = ""
	if claim.Phase != nic.ClaimRefused {
		nic.ClearCondition(&claim.Conditions) // they were about the NIC
	}
	if claim.Phase == nic.ClaimPending && claim.StoppedAt.IsZero() {
		node, _, found, err := get[nic.Node](e, nodeKey(claim.Owner.Node))
		if err != nil {
			return err
		}
		if found {
			if err := a.grant(e, &claim, node); err != nil {
				return err
			}
		}
	}
	e.update(claimKey(claim.ID), claim, rev)
	return nil
}
