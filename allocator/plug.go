package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// plug brings a planned NIC to its node: place, create, attach. Each step's
// outcome is stored before the next begins, and each may be repeated.
func (a *Allocator) plug(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	began, within := plugWithin(n)
	late := a.since(began) > within
	if late && a.carries(n) { // nobody gives up what is carried but its move
		_, _, moves, err := moverOf(a.reader(ctx), n)
		if err != nil {
			return 0, err
		}
		late = !moves
	}
	if late {
		return 0, a.giveUp(ctx, n, a.because(nic.ReasonProviderError,
			"provider %s has not plugged the NIC in within %s; its last word: %s", n.Provider, within, lastWord(n)))
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
		if errors.Is(err, provider.ErrElsewhere) {
			return a.recall(ctx, p, n, err)
		}
		return a.seen(ctx, n, seen, err)
	case nic.StateAttached:
		if n.Seen.Place.Instance != n.Instance {
			if n.Turn > 0 { // it was carried: the word may be of before
				return a.recall(ctx, p, n, nil)
			}
			return 0, a.giveUp(ctx, n, a.because(nic.ReasonProviderError, "plugged into %s instead of %s", n.Seen.Place.Instance, n.Instance))
		}
		return 0, a.pluggedIn(ctx, n)
	case nic.StateFailed, nic.StateDeleting:
		return 0, a.giveUp(ctx, n, a.because(nic.ReasonProviderError, "provider %s: NIC is %s: %s", n.Provider, n.Seen.State, n.Seen.Reason))
	}
	a.lookAt(n, n.Seen.State) // creating, attaching, detaching: the poller looks
	wait := waitsForProvider(n)
	if err := a.note(ctx, n.ID, &wait); err != nil { // where it was not noted along with the state
		return 0, err
	}
	left := a.until(wait.Deadline) + time.Second
	if n.Seen.State == nic.StateAttaching {
		again, err := a.insist(ctx, p, n)
		return min(again, left), err
	}
	return left, nil
}

// waitsForProvider is what a NIC waits for that its provider has begun to bring.
func waitsForProvider(n nic.NIC) nic.Condition {
	began, within := plugWithin(n)
	return nic.Condition{
		Reason:   nic.ReasonWaitingForProvider,
		Message:  fmt.Sprintf("provider %s says that the NIC is %s", n.Provider, n.Seen.State),
		Since:    n.Since,
		Deadline: began.Add(within),
	}
}

// plugWithin is how long a plugging may last from when on: from when the NIC was
// placed, or its turn had come, or it was planned. One that is not made yet
// because others are before it may wait for longer.
func plugWithin(n nic.NIC) (began time.Time, within time.Duration) {
	switch {
	case !n.Placed && waitsFor(n, nic.ReasonWaitingForTurn):
		return n.Since, turnDeadline
	case n.Asked.IsZero():
		return n.Since, plugDeadline
	}
	return n.Asked, plugDeadline
}

// turnEnds is when a NIC that waits for its turn is given up, or overdue.
func turnEnds(n nic.NIC) time.Time {
	switch {
	case n.Phase != nic.PhasePlanned:
		return n.Since.Add(returnDeadline)
	case n.Placed:
		return later(n.Since, n.Asked).Add(plugDeadline)
	}
	return n.Since.Add(turnDeadline)
}

func waitsFor(n nic.NIC, reason nic.Reason) bool {
	return slices.ContainsFunc(n.Conditions, func(c nic.Condition) bool { return c.Reason == reason })
}

// book waits for the NIC's turn to be created: again is when to ask for it
// again, 0 once it has come. From then on the plugging has its deadline.
func (a *Allocator) book(ctx context.Context, p provider.Provider, n *nic.NIC) (again time.Duration, err error) {
	paced, ok := p.(*paced)
	if !ok {
		return 0, nil
	}
	if err := paced.book(n.ID); err != nil {
		return a.failed(ctx, *n, err)
	}
	if !waitsFor(*n, nic.ReasonWaitingForTurn) {
		return 0, nil
	}
	if n.Asked.IsZero() { // else it is its second turn, for what it did with the first one
		n.Asked = a.now()
		err = a.change(ctx, n.ID, func(now *nic.NIC) bool { now.Asked = n.Asked; a.stepped(now, nic.StepTurn); return !now.Placed })
	}
	if err = errors.Join(err, a.unnote(ctx, *n, nic.ReasonWaitingForTurn)); err != nil {
		paced.unbook(n.ID)
	}
	return 0, err
}

// slotAgain is when a NIC that waits for promises asks again by itself.
const slotAgain = 5 * time.Second

// place settles what the spec leaves open, after a look at whether the node
// has room, so that nothing is made for a node that is full.
func (a *Allocator) place(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	// A burst does not ask for slots all at once, but each when its turn comes.
	// What waits for a slot asks for that first: a turn it could not use.
	if !waitsFor(n, nic.ReasonWaitingForSlot) {
		if again, err := a.book(ctx, p, &n); again > 0 || err != nil {
			return again, err
		}
	}
	placed := false
	if paced, ok := p.(*paced); ok {
		defer func() {
			if !placed {
				paced.unbook(n.ID)
			}
		}()
	}
	m := machineOf(n)
	var limits provider.Limits
	if !fallsBack(n.Spec.Functions) {
		var again time.Duration
		var promised bool
		var err error
		if limits, promised, again, err = a.promised(ctx, p, n, m); !promised || err != nil {
			return again, err
		}
	}
	if again, err := a.book(ctx, p, &n); again > 0 || err != nil { // which it has, if it was booked above
		return again, err
	}
	spec, room := n.Spec, 0
	if n.Carries {
		if limits.AddrsPerNIC < 2 {
			a.admitNext(m)
			return 0, a.giveUp(ctx, n, a.because(nic.ReasonProviderError,
				"a NIC of %s has %d address, none of which a container could share: give the network mode dedicated, and movable nic", n.Node, limits.AddrsPerNIC))
		}
		spec.Cloud.Secondary, room = furtherAddrs(n, limits), limits.AddrsPerNIC-1
	}
	if placer, ok := provider.As[provider.Placer](p); ok {
		node, _, found, err := get[nic.Node](a.reader(ctx), nodeKey(n.Node))
		if err != nil || !found {
			return 0, errors.Join(err, fmt.Errorf("read node %s: found %v", n.Node, found))
		}
		if spec, err = placer.Place(ctx, spec, node); err != nil {
			return a.failed(ctx, n, err)
		}
	}
	err := a.change(ctx, n.ID, func(n *nic.NIC) bool {
		if n.Phase != nic.PhasePlanned || n.Placed {
			return false
		}
		n.Spec, n.Placed, n.Asked, n.Room = spec, true, a.now(), room
		a.stepped(n, nic.StepPlaced)
		nic.ClearCondition(&n.Conditions, nic.ReasonWaitingForSlot, nic.ReasonWaitingForTurn)
		return true
	})
	placed = err == nil
	return 0, err
}

// promised has the NIC get one of its machine's free slots. Where there is none for it
// now, it has been noted why, and again is when to ask anew.
func (a *Allocator) promised(ctx context.Context, p provider.Provider, n nic.NIC, m pool.Machine) (limits provider.Limits, ok bool, again time.Duration, err error) {
	before := a.slots.on(m)
	limits, err = roomFor(ctx, p, m, len(before)+1)
	if err != nil {
		again, err = a.failed(ctx, n, err)
		return limits, false, again, err
	}
	if limits.Free <= 0 {
		a.admitNext(m) // it shall hear the same
		return limits, false, 0, a.giveUp(ctx, n, a.because(nic.ReasonExhausted, "%s: 0 of %d %ss free for NICs of provider %s",
			n.Node, limits.NICs, cmp.Or(limits.Slot, "slot"), n.Provider))
	}
	if !a.slots.promise(n.ID, n.Holder, m, limits.Free, before) {
		return limits, false, slotAgain, a.note(ctx, n.ID, &nic.Condition{
			Reason: nic.ReasonWaitingForSlot, Since: n.Since, Deadline: later(n.Since, n.Asked).Add(plugDeadline),
			Message: fmt.Sprintf("%d slots are free on %s at provider %s, and promised to NICs before this one", limits.Free, n.Node, n.Provider),
		}, nic.ReasonWaitingForTurn)
	}
	return limits, true, 0, nil
}

// roomFor is what the machine has room for, to plug in so many NICs more.
func roomFor(ctx context.Context, p provider.Provider, m pool.Machine, want int) (provider.Limits, error) {
	if roomy, ok := provider.As[provider.Roomy](p); ok && !m.Members {
		return roomy.Room(ctx, m.Instance, want)
	}
	return limitsAt(ctx, p, m)
}

// furtherAddrs is how many addresses a NIC for seats is made with besides its first.
func furtherAddrs(n nic.NIC, limits provider.Limits) int {
	if n.Alone {
		return 1 - n.Arrives
	}
	return limits.AddrsPerNIC - 1 - n.Arrives
}

// told says whether the node may have been told of the NIC: it is, once the
// recipe is known.
func told(n nic.NIC) bool { return n.Seen.Device.Kind != "" }
