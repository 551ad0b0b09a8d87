package allocator

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// assignAgain is how long an address may take to be shown on the NIC that it was
// assigned to, before it is assigned once more: the same again is no error.
const assignAgain = 10 * time.Second

// turnSeat turns a seat that is clean to the node that it is going to: to the NIC
// there on which a place is kept for its address. Until the address is seen on that
// NIC no other seat can have it, on any: nobody knows which it is on.
func turnSeat(e *edit, n *nic.NIC) error {
	for _, id := range []nic.ID{n.Carrier, n.Next} {
		if err := e.moveAddrs(id, nil, n.Seen.Addrs); err != nil {
			return err
		}
	}
	if n.Seen.State == nic.StateAttached { // it has arrived there, or was there from the beginning
		n.AddrOn = n.Carrier
	}
	if n.Node != n.Going {
		n.Carrier, n.Next = n.Next, n.Carrier
	}
	return nil
}

// What is asked of the provider about the address of a seat that was turned.
const (
	addrStays = nic.StateAvailable // nothing: it is where it was
	addrAsked = nic.StateDetaching // it is told to take the address to Carrier, and has not answered that it does
	addrGoes  = nic.StateAttaching // it has answered that it does
)

// moveAddrs notes which addresses a NIC for seats has got, and which it has lost.
func (e *edit) moveAddrs(id nic.ID, got, lost []netip.Addr) error {
	c, rev, found, err := get[nic.NIC](e, nicKey(id))
	if err != nil || !found {
		return err
	}
	before := c.Seen.Addrs
	c.Seen.Addrs = slices.DeleteFunc(slices.Clone(before), func(a netip.Addr) bool { return slices.Contains(lost, a) || slices.Contains(got, a) })
	c.Seen.Addrs = append(c.Seen.Addrs, got...)
	if !slices.Equal(before, c.Seen.Addrs) {
		e.update(nicKey(id), c, rev)
	}
	return nil
}

// readdress brings the address of a seat that was turned to the NIC that the seat is
// on now, and hands the seat over when the provider shows the address there and no
// more where it was. That is no proof where the provider has not said that it is so:
// what is shown may be of a move before this one.
func (a *Allocator) readdress(ctx context.Context, n nic.NIC) (time.Duration, error) {
	p, assigner, err := a.assigner(n.Provider)
	if err != nil {
		return slotAgain, a.note(ctx, n.ID, a.because(nic.ReasonProviderError, "%s", err))
	}
	ctx, cancel := context.WithTimeout(ctx, callsPerRun*worstCall(p))
	defer cancel()
	to, _, there, err := get[nic.NIC](a.reader(ctx), nicKey(n.Carrier))
	if err != nil {
		return 0, err
	}
	if !there || to.Phase != nic.PhaseCarrying {
		return slotAgain, a.note(ctx, n.ID, &nic.Condition{ // it is woken before that
			Reason: nic.ReasonWaitingForProvider, Since: n.Since, Deadline: n.Since.Add(plugDeadline),
			Message: fmt.Sprintf("NIC %s, which is to have the address, is not plugged in", n.Carrier),
		})
	}
	ids := slices.DeleteFunc([]nic.ID{n.Carrier, n.Next}, func(id nic.ID) bool { return id == "" })
	all, err := p.Get(ctx, ids...)
	if err != nil {
		return a.failed(ctx, n, err)
	}
	if n.AddrOn == n.Carrier && hasAll(all[n.Carrier], n.Seen.Addrs) && !hasAny(all[n.Next], n.Seen.Addrs) {
		return 0, a.arrived(ctx, n)
	}
	if n.Seen.State == addrGoes && a.since(n.Asked) < assignAgain {
		return a.opts.Poll, nil
	}
	if err := a.noneElseHas(ctx, n, to); err != nil {
		return a.failed(ctx, n, err)
	}
	if err := a.assign(ctx, assigner, n); err != nil {
		_, shown := all[to.ID]
		if !shown && errors.Is(err, provider.ErrNotFound) && a.since(to.Since) > p.Info().VisibleAfter {
			if ended, err := a.endGone(ctx, n); ended || err != nil {
				return 0, err
			}
		}
		return a.failed(ctx, n, err)
	}
	return deleteAgain, nil
}

// assign asks for the address, unless the seat is to be elsewhere by now.
func (a *Allocator) assign(ctx context.Context, by assigning, n nic.NIC) error {
	still, on := false, n.AddrOn
	is := func(now *nic.NIC) bool { return now.Phase == nic.PhasePlanned && now.Turn == n.Turn }
	err := a.change(ctx, n.ID, func(now *nic.NIC) bool { // who does not lead any more gets no further
		if still = is(now); still {
			on, now.Seen.State = now.AddrOn, addrAsked
			if now.AddrOn != now.Carrier {
				now.AddrOn = ""
			}
		}
		return still
	})
	if err != nil || !still {
		return err
	}
	if err := by.Assign(ctx, n.Carrier, n.Seen.Addrs, n.Next); err != nil {
		if !refused(err) {
			return err
		}
		return errors.Join(err, a.change(ctx, n.ID, func(now *nic.NIC) bool { // it is where it was: the way back is open
			changed := now.Turn == n.Turn && now.AddrOn != on // it may be told to turn back meanwhile
			if changed {
				now.AddrOn = on
			}
			return changed
		}))
	}
	a.opts.Log.Info("address assigned", "nic", n.ID, "claim", n.Holder, "node", n.Node, "to", n.Carrier, "from", n.Next, "addrs", n.Seen.Addrs)
	return a.change(ctx, n.ID, func(now *nic.NIC) bool {
		if !is(now) {
			return false
		}
		now.Seen.State, now.Asked, now.AddrOn = addrGoes, a.now(), now.Carrier
		nic.ClearCondition(&now.Conditions, nic.ReasonProviderError)
		return true
	})
}

// refused says whether the provider has said that it does not assign an address: so
// nothing was done.
func refused(err error) bool {
	for _, kind := range []error{
		provider.ErrDenied, provider.ErrThrottled, provider.ErrInvalid, provider.ErrUnsupported,
		provider.ErrElsewhere, provider.ErrExhausted, provider.ErrNotFound,
	} {
		if errors.Is(err, kind) {
			return !errors.Is(err, provider.ErrUnknown)
		}
	}
	return false
}

// endGone ends a seat that is to go back to a NIC that is not at its provider any
// more: its claim gets another, with another address. On the way out it ends nothing:
// the move turns back.
func (a *Allocator) endGone(ctx context.Context, was nic.NIC) (ended bool, err error) {
	within := func(do func(*edit, nic.NIC) error) error {
		return a.asLeader(ctx, func(e *edit) error {
			ended = false
			n, _, found, err := get[nic.NIC](e, nicKey(was.ID))
			if err != nil || !found || n.Phase != nic.PhasePlanned || n.Turn != was.Turn {
				return err
			}
			claim, _, moves, err := moverOf(e, n)
			if err != nil || moves && n.Node != claim.Move.From.Node {
				return err
			}
			return do(e, n)
		})
	}
	if err := within(a.closeCarrier); err != nil {
		return false, err
	}
	err = within(func(e *edit, n nic.NIC) error {
		ended = true
		return a.end(e, n.ID)
	})
	if !ended || err != nil {
		return false, err
	}
	return true, a.logged(was, "seat ended, the NIC that it was to go back to is gone", nil)
}

// arrived hands a seat over whose address is where it is to be.
func (a *Allocator) arrived(ctx context.Context, was nic.NIC) error {
	step := "address moved"
	err := a.asLeader(ctx, func(e *edit) error {
		n, rev, found, err := get[nic.NIC](e, nicKey(was.ID))
		if err != nil || !found || n.Phase != nic.PhasePlanned || n.Turn != was.Turn {
			return err
		}
		claim, claimRev, found, err := get[nic.Claim](e, claimKey(n.Holder))
		if err != nil {
			return err
		}
		if !found || claim.NIC != n.ID || !onMove(claim) && claim.Phase != nic.ClaimPending {
			step = "seat was one too many"
			return a.end(e, n.ID)
		}
		c, _, there, err := get[nic.NIC](e, nicKey(n.Carrier))
		if err != nil || !there {
			return err
		}
		if err := errors.Join(e.moveAddrs(n.Carrier, n.Seen.Addrs, nil), e.moveAddrs(n.Next, nil, n.Seen.Addrs)); err != nil {
			return err
		}
		_, at, _, err := get[nic.Reservation](e, seatKey(c.ID, n.Seen.Addrs[0]))
		if err != nil {
			return err
		}
		a.stepped(&n, nic.StepAttached)
		a.seated(e, &n, c, choice[netip.Addr]{n.Seen.Addrs[0], at})
		if onMove(claim) {
			a.takeGiven(&claim, &n)
			clearWaits(&claim)
		} else {
			a.hand(&claim, &n)
		}
		e.update(claimKey(claim.ID), claim, claimRev)
		e.update(nicKey(n.ID), n, rev)
		return nil
	})
	return a.logged(was, step, err)
}

// letNextGo ends the place that was kept for a seat while it moved.
func (a *Allocator) letNextGo(ctx context.Context, was nic.NIC) error {
	if was.Next == "" {
		return nil
	}
	return a.asLeader(ctx, func(e *edit) error {
		n, rev, found, err := get[nic.NIC](e, nicKey(was.ID))
		if err != nil || !found || n.Phase != nic.PhaseHeld || n.Next == "" {
			return err
		}
		if _, _, moves, err := moverOf(e, n); moves || err != nil {
			return err
		}
		if err := a.unseatFrom(e, n, n.Next); err != nil {
			return err
		}
		n.Next = ""
		e.update(nicKey(n.ID), n, rev)
		return nil
	})
}

func hasAll(seen nic.Seen, addrs []netip.Addr) bool {
	return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !slices.Contains(seen.Addrs, a) })
}

func hasAny(seen nic.Seen, addrs []netip.Addr) bool {
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(seen.Addrs, a) })
}

// assigning is a provider that assigns addresses, and is observed at it.
type assigning struct {
	provider.AddrAssigner
	a    *Allocator
	name string
}

// assigner is the provider of that name, which must assign addresses.
func (a *Allocator) assigner(name string) (provider.Provider, assigning, error) {
	p, ok := a.opts.Providers[name]
	if !ok {
		return nil, assigning{}, fmt.Errorf("no provider %q in the controller's config", name)
	}
	by, ok := provider.As[provider.AddrAssigner](p)
	if !ok {
		return p, assigning{}, fmt.Errorf("provider %s takes no address from one NIC to another", name)
	}
	return p, assigning{by, a, name}, nil
}

// Assign is the provider's.
func (p assigning) Assign(ctx context.Context, id nic.ID, addrs []netip.Addr, from nic.ID) error {
	if err := p.a.opts.Holds(ctx); err != nil {
		return notLeading(p.name, "assign", id, err)
	}
	start := time.Now()
	err := p.AddrAssigner.Assign(ctx, id, addrs, from)
	observed{name: p.name, by: p.a.opts.Observer}.tell("assign", start, err)
	return err
}
