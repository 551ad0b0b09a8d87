package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// unplug brings a returning NIC home: it waits for the node's word that the
// NIC is out and clean, has it unplugged, and retires it.
func (a *Allocator) unplug(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	if awaited, again, err := a.awaitClean(ctx, n); awaited || err != nil {
		return again, err
	}
	if !n.Placed {
		return 0, a.retireFrom(ctx, n) // the provider was never asked
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
		return 0, a.retireFrom(ctx, n) // Delete has the last word on whether it is gone
	}
	switch seen.State {
	case nic.StateAttached, nic.StateAttaching:
		err := p.Detach(ctx, n.ID, seen.Place.Instance)
		if err != nil && !errors.Is(err, provider.ErrNotFound) {
			return a.failed(ctx, n, err)
		}
		a.lookAt(n, nic.StateDetaching)
		return 4 * a.opts.Poll, nil
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
	case nic.StateAvailable:
		if n.Going != "" {
			return a.carry(ctx, n, seen)
		}
	}
	return 0, a.retireFrom(ctx, n)
}

// tellAfter is how long a provider may take before people are told what it is at:
// what is over sooner is not worth a record.
const tellAfter = 10 * time.Second

// awaitClean waits for the node's word that a returning NIC is out and clean, unless
// it was never told of it. Of one that seats were on their ends say so. That holds
// also where the provider sees nothing of the NIC: that is one reader's word.
func (a *Allocator) awaitClean(ctx context.Context, n nic.NIC) (awaited bool, again time.Duration, err error) {
	if n.Carries && n.Seats == 0 || !n.Carries && (!told(n) || n.Clean) {
		return false, 0, nil
	}
	if again, err = a.cleanIfDead(ctx, n); err != nil {
		return true, again, err
	}
	return true, again, a.note(ctx, n.ID, &nic.Condition{
		Reason:   nic.ReasonWaitingForNode,
		Message:  fmt.Sprintf("node %s has not reported the NIC out and clean", n.Node),
		Since:    n.Since,
		Deadline: n.Since.Add(returnDeadline),
	})
}

// overdue shows a detach that does not end (F10). It is waited for, however
// long: what may still be in a guest is not given to anybody else.
func (a *Allocator) overdue(ctx context.Context, n nic.NIC, seen nic.Seen) error {
	since := a.since(n.Since)
	if since < tellAfter {
		return nil
	}
	message := fmt.Sprintf("provider %s says that the NIC is %s from %s", n.Provider, seen.State, n.Node)
	if since >= returnDeadline {
		message += "; a guest that hangs does not let go of it"
	}
	return a.note(ctx, n.ID, &nic.Condition{
		Reason:  nic.ReasonWaitingForProvider,
		Message: message,
		Since:   n.Since, Deadline: n.Since.Add(returnDeadline),
	})
}

// retireFrom has the NIC deleted, unless it is to go elsewhere by now.
func (a *Allocator) retireFrom(ctx context.Context, was nic.NIC) error {
	return a.change(ctx, was.ID, func(n *nic.NIC) bool {
		if n.Phase != was.Phase || n.Going != was.Going || !n.Phase.CanBecome(nic.PhaseRetiring) {
			return false
		}
		a.setPhase(n, nic.PhaseRetiring)
		n.Going = ""
		nic.ClearCondition(&n.Conditions)
		return true
	})
}

// retire deletes a NIC until the provider says that it is gone, then ends its
// record.
func (a *Allocator) retire(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	if _, keeps := provider.As[provider.Fitter](p); n.Placed || keeps { // else it was never asked
		if left := a.beingDeleted(n.ID); left > 0 {
			return left, nil
		}
		err := p.Delete(ctx, n.ID)
		switch {
		case err == nil:
			return a.deleting(ctx, p, n)
		case errors.Is(err, provider.ErrBusy): // plugged in still: it was not seen when it was to be unplugged
			if detachErr := p.Detach(ctx, n.ID, cmp.Or(n.Seen.Place.Instance, n.Instance)); detachErr != nil {
				err = errors.Join(err, detachErr)
			}
			return a.failed(ctx, n, err)
		case !errors.Is(err, provider.ErrNotFound):
			return a.failed(ctx, n, err)
		}
		if hidden := a.hiddenFor(p, n); hidden > 0 && !shown(n) {
			return min(hidden, time.Second), nil // too young for "not found" to be proof
		}
	}
	err := a.asLeader(ctx, func(e *edit) error { return a.end(e, n.ID) })
	if freed := functionsOf(n.Spec.Device); err == nil && freed > 0 {
		err = a.lift(ctx, n.Node, freed)
	}
	return 0, a.logged(n, "NIC deleted", err)
}

// shown says whether the provider has shown what it made, be it by having plugged it
// in or by deleting it: what it calls not found then is not hidden.
func shown(n nic.NIC) bool {
	switch n.Seen.State {
	case nic.StateAttached, nic.StateDetaching, nic.StateDeleting:
		return true
	}
	return false
}

// deleting says when to ask again after a NIC that the provider is deleting:
// soon, and then less and less often. A delete that takes long is shown.
func (a *Allocator) deleting(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	if p.Info().VisibleAfter > 0 && n.Seen.State != nic.StateDeleting {
		err := a.change(ctx, n.ID, func(n *nic.NIC) bool { n.Seen.State = nic.StateDeleting; return true })
		if err != nil {
			return 0, err
		}
	}
	since := a.since(n.Since)
	again := max(deleteAgain, since/2)
	if p.Info().Rates.Delete.PerSecond > 0 { // a look is for many, and uses up nothing of what there may be of deletes
		a.fly(n, nic.StateDeleting, again)
		again = 4 * a.opts.Poll
	}
	again = min(again, 4*a.opts.Poll)
	if since < returnDeadline {
		return again, nil
	}
	return again, a.note(ctx, n.ID, &nic.Condition{
		Reason:  nic.ReasonWaitingForProvider,
		Message: fmt.Sprintf("provider %s has been told to delete the NIC and does not say that it is gone", n.Provider),
		Since:   n.Since, Deadline: n.Since.Add(returnDeadline),
	})
}

// beingDeleted is for how long it is enough to look at a NIC that the provider is
// deleting: then it is asked once more.
func (a *Allocator) beingDeleted(id nic.ID) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.inFlight[id]
	if f == nil || !f.returning || f.state != nic.StateDeleting {
		return 0
	}
	left := 4*a.opts.Poll - time.Since(f.asked)
	if left <= 0 {
		delete(a.inFlight, id)
	}
	return left
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
