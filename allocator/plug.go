package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

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
		return 0, a.pluggedIn(ctx, n)
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

// slotAgain is when a NIC that waits for promises asks again by itself.
const slotAgain = 5 * time.Second

// place settles what the spec leaves open, after a look at whether the node
// has room, so that nothing is made for a node that is full.
func (a *Allocator) place(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	if paced, ok := p.(*paced); ok { // while it waits for its turn it has no deadline
		if err := paced.book(n.ID); err != nil {
			return a.failed(ctx, n, err)
		}
	}
	m := machineOf(n)
	before := a.slots.on(m)
	limits, err := p.Limits(ctx, n.Instance)
	if err != nil {
		return a.failed(ctx, n, err)
	}
	if limits.Free <= 0 {
		a.admitNext(m) // it shall hear the same
		return 0, a.giveUp(ctx, n, a.because(nic.ReasonExhausted, "%s: 0 of %d %ss free for NICs of provider %s",
			n.Node, limits.NICs, cmp.Or(limits.Slot, "slot"), n.Provider))
	}
	if !a.slots.promise(n.ID, m, limits.Free, before) {
		return slotAgain, a.note(ctx, n.ID, &nic.Condition{
			Reason: nic.ReasonWaitingForSlot, Since: n.Since, Deadline: n.Since.Add(plugDeadline),
			Message: fmt.Sprintf("%d slots are free on %s at provider %s, and promised to NICs before this one", limits.Free, n.Node, n.Provider),
		})
	}
	spec := n.Spec
	if placer, ok := provider.As[provider.Placer](p); ok {
		node, _, found, err := get[nic.Node](a.reader(ctx), nodeKey(n.Node))
		if err != nil || !found {
			return 0, errors.Join(err, fmt.Errorf("read node %s: found %v", n.Node, found))
		}
		if spec, err = placer.Place(ctx, spec, node); err != nil {
			return a.failed(ctx, n, err)
		}
	}
	return 0, a.change(ctx, n.ID, func(n *nic.NIC) bool {
		if n.Phase != nic.PhasePlanned || n.Placed {
			return false
		}
		n.Spec, n.Placed, n.Asked = spec, true, a.now()
		nic.ClearCondition(&n.Conditions, nic.ReasonWaitingForSlot, nic.ReasonWaitingForTurn)
		return true
	})
}

// told says whether the node may have been told of the NIC: it is, once the
// recipe is known.
func told(n nic.NIC) bool { return n.Seen.Device.Kind != "" }
