package allocator

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// leaveAddr notes on a NIC that a seat had a place on what becomes of the seat's
// address, and says whether the NIC has it. Where the seat ends while that is on its
// way, the NIC has it by whose word it is there; where nobody knows, each of the two is
// to be looked at.
func (k clock) leaveAddr(c *nic.NIC, seat nic.NIC, addr netip.Addr) bool {
	has := slices.Contains(c.Seen.Addrs, addr)
	switch {
	case has || !onItsWay(seat):
	case seat.AddrOn == c.ID:
		c.Seen.Addrs, has = append(c.Seen.Addrs, addr), true
	case seat.AddrOn == "":
		c.Astray = append(c.Astray, nic.Astray{Addr: addr, Since: k.now()})
	}
	return has
}

// onItsWay says whether the address of a seat is in no NIC's record; see turnSeat.
func onItsWay(seat nic.NIC) bool {
	switch seat.Seen.State {
	case addrStays, addrAsked, addrGoes:
		return true
	}
	return false
}

// astrayAgain is when a NIC is looked at again that is not plugged in by its provider's
// word, though it should be.
const astrayAgain = time.Minute

// seekAstray looks for the addresses that have gone astray. One that the provider shows
// here is for seats again, as one that has been given back; the others are not here. It
// does so when no order is under way any more and what is shown is of after the last.
func (a *Allocator) seekAstray(ctx context.Context, p provider.Provider, n nic.NIC) (again time.Duration, err error) {
	for _, s := range n.Astray {
		again = max(again, a.until(s.Since.Add(callsPerRun*worstCall(p)+p.Info().VisibleAfter)))
	}
	if len(n.Astray) == 0 || again > 0 {
		return again, nil
	}
	all, err := p.Get(ctx, n.ID)
	if err != nil {
		return a.failed(ctx, n, err)
	}
	shown, there := all[n.ID]
	if !there || shown.State != nic.StateAttached {
		return astrayAgain, nil
	}
	err = a.asLeader(ctx, func(e *edit) error {
		now, rev, found, err := get[nic.NIC](e, nicKey(n.ID))
		if err != nil || !found || !inUse(now) || !slices.Equal(now.Astray, n.Astray) {
			return err
		}
		a.seating.lock(e, now.Node)
		for _, s := range now.Astray {
			if !slices.Contains(shown.Addrs, s.Addr) || slices.Contains(now.Seen.Addrs, s.Addr) {
				continue
			}
			now.Seen.Addrs = append(now.Seen.Addrs, s.Addr)
			if a.coolingOf(now) == 0 {
				continue
			}
			_, at, _, err := get[nic.Reservation](e, seatKey(now.ID, s.Addr))
			if err != nil {
				return err
			}
			e.put(seatKey(now.ID, s.Addr), a.rested(now), at)
		}
		now.Astray = nil
		e.update(nicKey(now.ID), now, rev)
		return nil
	})
	a.queue.Wake(refusedKey) // there may be a seat now
	return 0, a.logged(n, "addresses that had gone astray looked for", err)
}
