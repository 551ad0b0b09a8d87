package allocator

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// recount makes a NIC's record say which seats are on it: after a release that knows
// of none, which ends seats as it ends NICs, and leaves out what it does not know.
// With none it goes home.
func (a *Allocator) recount(ctx context.Context, f finding) error {
	return a.asLeader(ctx, func(e *edit) error {
		c, rev, found, err := get[nic.NIC](e, nicKey(f.NIC))
		if err != nil || !found || !carriesSeats(c) {
			return errors.Join(err, errMoved)
		}
		a.seating.lock(e, c.Node)
		ids, err := idsOn(e, c.Node) // after the NIC, whose record each seat's coming and going writes
		if err != nil {
			return err
		}
		kept, err := placesOn(e, c.ID)
		if err != nil {
			return err
		}
		all, revs := map[nic.ID]nic.NIC{}, map[nic.ID]store.Rev{}
		for _, id := range append(ids, kept...) {
			n, at, found, err := get[nic.NIC](e, nicKey(id))
			if err != nil {
				return err
			}
			if found {
				all[id], revs[id] = n, at
			}
		}
		all[c.ID] = c
		seats := seatsOnEach(all, lostSeats(all))[c.ID]
		for _, n := range seats {
			if n.Carrier == "" {
				n.Carrier = c.ID
				c.Alone = c.Alone || n.Seen.Device.Kind == nic.Found
				e.update(nicKey(n.ID), n, revs[n.ID])
			}
		}
		if err := dropSeatsBut(e, c.ID, seats); err != nil {
			return err
		}
		c.Carries, c.Seats = true, len(seats)
		if c.Seats == 0 && c.Phase == nic.PhaseCarrying {
			a.emptied(e, &c)
		}
		e.update(nicKey(c.ID), c, rev)
		return nil
	})
}

// placesOn are the seats that have, or are said to have, a place on a NIC: also those
// that are on their way from another node, or to one.
func placesOn(e *edit, carrier nic.ID) (ids []nic.ID, err error) {
	all, err := seatsUnder(e, carrier)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if id := nicIDOf(r.Value.Owner); id != "" {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// dropSeatsBut ends what is said of seats on a NIC that are not there. What cools
// down goes on doing so.
func dropSeatsBut(e *edit, carrier nic.ID, seats []nic.NIC) error {
	all, err := seatsUnder(e, carrier)
	if err != nil {
		return err
	}
	for _, r := range all {
		its := func(n nic.NIC) bool { return nicKey(n.ID) == r.Value.Owner }
		if r.Value.Held() && !slices.ContainsFunc(seats, its) {
			e.delete(r.Key, r.Rev)
		}
	}
	return nil
}

// reassign has the provider give a NIC the addresses again that it should have for
// seats. Asked twice it does nothing twice. Those that another NIC has by now are not
// taken from there: the seats that had them end, and their claims get others.
func (a *Allocator) reassign(ctx context.Context, f finding) error {
	p, assigner, err := a.assigner(f.Provider)
	if p == nil {
		return errMoved
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callsPerRun*worstCall(p))
	defer cancel()
	n, _, found, err := get[nic.NIC](a.reader(ctx), nicKey(f.NIC))
	if err != nil || !found || !n.Carries || !inUse(n) {
		return errors.Join(err, errMoved)
	}
	all, err := p.Get(ctx, n.ID)
	if err != nil {
		return fmt.Errorf("look at NIC %s: %w", n.ID, err)
	}
	missing := lacks(n, all[n.ID])
	if all[n.ID].State != nic.StateAttached || len(missing) == 0 {
		return errMoved
	}
	if err = assigner.Assign(ctx, n.ID, missing, ""); err == nil {
		return nil
	}
	if !cannotHave(err) {
		return fmt.Errorf("give NIC %s %v again: %w", n.ID, missing, err)
	}
	for _, addr := range missing { // which of them somebody has
		err := assigner.Assign(ctx, n.ID, []netip.Addr{addr}, "")
		if cannotHave(err) {
			err = a.loseSeat(ctx, n.ID, addr, err)
		}
		if err != nil {
			return fmt.Errorf("give NIC %s %s again: %w", n.ID, addr, err)
		}
	}
	return nil
}

// cannotHave says whether the provider will not give an address, however often it is
// asked: another NIC has it.
func cannotHave(err error) bool {
	return errors.Is(err, provider.ErrElsewhere) || errors.Is(err, provider.ErrExhausted) || errors.Is(err, provider.ErrInvalid)
}

// loseSeat strikes an address out of what a NIC has for seats. A claim that has it
// gets another seat.
func (a *Allocator) loseSeat(ctx context.Context, carrier nic.ID, addr netip.Addr, lost error) error {
	return a.asLeader(ctx, func(e *edit) error {
		c, rev, found, err := get[nic.NIC](e, nicKey(carrier))
		if err != nil || !found {
			return err
		}
		if !slices.Contains(c.Seen.Addrs, addr) { // it has moved meanwhile
			return nil
		}
		a.seating.lock(e, c.Node)
		r, _, _, err := get[nic.Reservation](e, seatKey(carrier, addr))
		if err != nil {
			return err
		}
		c.Seen.Addrs = slices.DeleteFunc(slices.Clone(c.Seen.Addrs), func(x netip.Addr) bool { return x == addr })
		e.update(nicKey(carrier), c, rev)
		seat, ok := strings.CutPrefix(r.Owner, nicPrefix)
		if !ok || !r.Held() {
			return nil
		}
		why := a.because(nic.ReasonProviderError, "its address %s is not on NIC %s any more: %s", addr, carrier, lost)
		return a.endSeat(e, nic.ID(seat), carrier, *why)
	})
}

// endSeat takes a seat back that is of no use to its claim, which gets another, if it
// is on that NIC still.
func (a *Allocator) endSeat(e *edit, id, carrier nic.ID, why nic.Condition) error {
	n, _, found, err := get[nic.NIC](e, nicKey(id))
	if err != nil || !found || n.Phase != nic.PhaseHeld || n.Carrier != carrier {
		return err
	}
	claim, rev, found, err := get[nic.Claim](e, claimKey(n.Holder))
	if err != nil || !found || claim.NIC != id || onMove(claim) {
		return err
	}
	if claim.Phase != nic.ClaimReleasing {
		a.setBack(&claim, why)
		a.setClaimPhase(&claim, nic.ClaimPending)
		nic.SetCondition(&claim.Conditions, why)
		e.update(claimKey(claim.ID), claim, rev)
	}
	return takeBack(e, id)
}
