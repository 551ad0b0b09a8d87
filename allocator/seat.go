package allocator

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// A carriers record lists the NICs that the seats of one tenant in one network are
// on, on one node: containers on one wire can take each other's addresses, and
// groups are a NIC's. It is written with each that comes or goes, so two claims at
// once never plan two where one does.
type carriers struct {
	Schema int      `json:"schema"`
	NICs   []nic.ID `json:"nics"`
}

// A carrier is a NIC that seats are on, as it was read.
type carrier struct {
	nic.NIC
	rev     store.Rev
	waiting []nic.ID // seats that have no address yet
	open    []choice[netip.Addr]
	resting int // addresses that cool down
	coming  int // seats whose addresses are on other NICs, or on none
}

// seatsUnder are the records of a NIC's seats: of those that have an address of it,
// of those that wait for one, and of addresses that cool down.
func seatsUnder(e *edit, carrier nic.ID) ([]store.JSON[nic.Reservation], error) {
	seats, _, err := store.ListJSON[nic.Reservation](e.ctx, e.store, seatsOf(carrier), "", 0)
	if err != nil {
		return nil, fmt.Errorf("list the seats on NIC %s: %w", carrier, err)
	}
	return seats, nil
}

// readCarrier reads a NIC and its seats. Those that wait are to have an address
// each before anybody else.
func readCarrier(e *edit, id nic.ID) (c carrier, found bool, err error) {
	if c.NIC, c.rev, found, err = get[nic.NIC](e, nicKey(id)); err != nil || !found {
		return c, false, err
	}
	seats, err := seatsUnder(e, id)
	if err != nil {
		return c, false, err
	}
	taken := map[string]store.JSON[nic.Reservation]{}
	for _, s := range seats {
		name := strings.TrimPrefix(s.Key, seatsOf(id))
		taken[name] = s
		if _, err := nic.ParseID(name); err == nil {
			c.waiting = append(c.waiting, nic.ID(name))
		}
	}
	has := seatAddrs(c.NIC)
	for name := range taken {
		if addr, err := netip.ParseAddr(name); err == nil && !slices.Contains(has, addr) {
			c.coming++
		}
	}
	for _, addr := range has {
		r, there := taken[addr.String()]
		switch {
		case !there || r.Value.OpenTo("", e.now()):
			c.open = append(c.open, choice[netip.Addr]{addr, r.Rev})
		case !r.Value.Held():
			c.resting++
		}
	}
	return c, true, nil
}

// seatAddrs are the addresses of a NIC that seats can have. The first is not among
// them: it cannot leave the NIC.
func seatAddrs(n nic.NIC) []netip.Addr {
	var all []netip.Addr
	for i, addr := range n.Seen.Addrs {
		if i > 0 && addr.Is4() {
			all = append(all, addr)
		}
	}
	return all
}

// room is how many further seats the NIC has, as far as is known: one that is not
// placed yet may have any number.
func (c carrier) room() int {
	switch {
	case !c.Carries || c.Closed || c.Alone:
		return 0
	case c.Phase == nic.PhaseCarrying:
		return max(0, len(c.open)-len(c.waiting))
	case c.Phase == nic.PhasePlanned && !c.Placed:
		return unknownSeats
	case c.Phase == nic.PhasePlanned:
		return max(0, c.Spec.Cloud.Secondary+c.Arrives-c.Seats)
	}
	return 0
}

// unknownSeats is more than any NIC has.
const unknownSeats = 1 << 10

// better says whether a claim is rather to be on c than on o: where nothing has to
// be waited for, then where others are, so that the rest empties.
func (c carrier) better(o carrier) bool {
	if now, other := c.Phase == nic.PhaseCarrying, o.Phase == nic.PhaseCarrying; now != other {
		return now
	}
	return c.Seats > o.Seats
}

// openCarrier finds the NIC that the claim's seat is to be on; found is false where
// one has to be made. all is the list that it would have to go into.
func (a *Allocator) openCarrier(e *edit, network nic.Network, node nic.Node, tenant string) (best carrier, found bool, all carriers, rev store.Rev, err error) {
	if all, rev, err = listed(e, network, node, tenant); err != nil {
		return best, false, all, rev, err
	}
	for _, id := range all.NICs {
		c, there, err := readCarrier(e, id)
		if err != nil {
			return best, false, all, rev, err
		}
		if !there || c.room() == 0 || staleFor(c.NIC, network, instanceOf(node, network.Provider)) {
			continue
		}
		if !found || c.better(best) {
			best, found = c, true
		}
	}
	return best, found, all, rev, nil
}

// seat gives the claim a seat: a free one, also on a NIC that is in reserve, for
// which nothing is asked of the provider; or one on a NIC that is on its way, which is
// planned along with it if there is none.
func (a *Allocator) seat(e *edit, claim *nic.Claim, network nic.Network, node nic.Node, asked time.Time) error {
	a.seating.lock(e, node.Name)
	c, found, all, rev, err := a.openCarrier(e, network, node, claim.Tenant)
	if err != nil {
		return err
	}
	n := a.newNIC(network, node, claim.Tenant, nic.MAC{})
	n.Spec.Cloud = nic.CloudSpec{} // which is its carrier's
	n.Holder, claim.NIC = claim.ID, n.ID
	n.Layer3 = layer3(network, *claim, nil)
	n.Steps = []nic.Step{{Name: nic.StepAsked, At: asked}}
	if !found {
		if network.Cloud.Shared {
			if c, found, err = a.spareCarrier(e, claim, network, node); err != nil {
				return err
			}
		}
		if !found {
			c.NIC = a.newCarrier(e, network, node, claim.Tenant)
		}
		listCarrier(e, c.NIC, all, rev)
	}
	n.Carrier = c.ID
	c.Seats++
	e.put(nicKey(c.ID), c.NIC, c.rev)
	if c.Phase == nic.PhaseCarrying {
		a.stepped(&n, nic.StepSpare)
		a.seated(e, &n, c.NIC, c.open[0])
		a.hand(claim, &n)
	} else {
		a.stepped(&n, nic.StepPlanned)
		e.create(waitKey(c.ID, n.ID), seatOf(n))
		wait := a.awaitsCarrier(n)
		nic.SetCondition(&n.Conditions, wait)
		nic.SetCondition(&claim.Conditions, wait)
	}
	e.create(nicKey(n.ID), n)
	e.create(onKey(n.Node, n.ID), n.ID)
	return nil
}

// newCarrier plans a NIC for seats.
func (a *Allocator) newCarrier(e *edit, network nic.Network, node nic.Node, tenant string) nic.NIC {
	c := a.newNIC(network, node, tenant, nic.MAC{})
	c.Carries, c.Alone = true, !network.Cloud.Shared
	e.create(onKey(c.Node, c.ID), c.ID)
	return c
}

// listed are the NICs that the seats of a network share on a node. Where each has one of
// its own there is none.
func listed(e *edit, network nic.Network, node nic.Node, tenant string) (all carriers, rev store.Rev, err error) {
	if network.Cloud.Shared {
		all, rev, _, err = get[carriers](e, carriersKey(node.Name, network.Name, tenant))
	}
	return all, rev, err
}

// listCarrier has further seats of its tenant find a NIC, if it is for many. all is the
// list.
func listCarrier(e *edit, c nic.NIC, all carriers, rev store.Rev) {
	if c.Alone || slices.Contains(all.NICs, c.ID) { // it was in the tenant's service before
		return
	}
	all.Schema, all.NICs = nic.Schema, append(slices.Clip(all.NICs), c.ID)
	e.put(carriersKey(c.Node, c.Network, c.Tenant), all, rev)
}

// seated gives a seat that address of its carrier. The carrier's record is not
// changed.
func (a *Allocator) seated(e *edit, n *nic.NIC, c nic.NIC, at choice[netip.Addr]) {
	e.put(seatKey(c.ID, at.key), seatOf(*n), at.rev)
	n.Placed = true
	n.Seen = nic.Seen{
		NIC: n.ID, ProviderID: c.Seen.ProviderID, State: nic.StateAttached, Place: c.Seen.Place, Addrs: []netip.Addr{at.key},
		Subnets: c.Seen.Subnets, Bus: c.Seen.Bus,
		Device: nic.Device{Kind: nic.Ipvlan, MAC: c.Seen.MAC, MTU: deviceOf(c).MTU},
	}
	if c.Alone {
		n.Seen.Device = deviceOf(c)
	}
	nic.ClearCondition(&n.Conditions)
	a.setPhase(n, nic.PhaseHeld)
}

// seatOf is what stands under a seat's key.
func seatOf(n nic.NIC) nic.Reservation {
	return nic.Reservation{Schema: nic.Schema, Claim: n.Holder, Owner: nicKey(n.ID), Network: n.Network, Tenant: n.Tenant}
}

// awaitsCarrier is what a seat waits for, and its claim.
func (a *Allocator) awaitsCarrier(n nic.NIC) nic.Condition {
	return nic.Condition{
		Reason: nic.ReasonWaitingForProvider, Since: n.Since, Deadline: n.Since.Add(turnDeadline),
		Message: fmt.Sprintf("the container shares NIC %s, which is not plugged in yet; how far that is: nicferry describe nic %s", n.Carrier, n.Carrier),
	}
}

// unseat ends a seat: its address cools down, and with the last seat its carrier
// goes home.
func (a *Allocator) unseat(e *edit, n nic.NIC) error {
	a.seating.lock(e, n.Node)
	if err := a.unseatFrom(e, n, n.Carrier); err != nil || n.Next == "" {
		return err
	}
	return a.unseatFrom(e, n, n.Next)
}

// unseatFrom is unseat for one of the NICs that the seat has a place on.
func (a *Allocator) unseatFrom(e *edit, n nic.NIC, carrier nic.ID) error {
	c, rev, found, err := get[nic.NIC](e, nicKey(carrier))
	if err != nil || !found {
		return err
	}
	keys := []string{waitKey(carrier, n.ID)}
	for _, addr := range n.Seen.Addrs {
		keys = append(keys, seatKey(carrier, addr))
	}
	had := false
	for i, key := range keys {
		r, at, there, err := get[nic.Reservation](e, key)
		if err != nil {
			return err
		}
		if !there || r.Owner != nicKey(n.ID) || !r.Held() {
			continue
		}
		had = true
		if i > 0 && a.leaveAddr(&c, n, n.Seen.Addrs[i-1]) && a.coolingOf(n) > 0 {
			e.update(key, a.rested(n), at)
			continue
		}
		e.delete(key, at)
	}
	if !had {
		return nil
	}
	if c.Seats--; c.Seats <= 0 {
		a.emptied(e, &c)
	}
	e.update(nicKey(c.ID), c, rev)
	return nil
}

// rested is what stands under the key of an address that a seat has given back.
func (a *Allocator) rested(n nic.NIC) nic.Reservation {
	end := a.now().Add(a.coolingOf(n))
	return nic.Reservation{Schema: nic.Schema, Network: n.Network, Tenant: n.Tenant, Free: end, Until: end}
}

// uncarry ends what is said of a NIC that seats were on.
func (a *Allocator) uncarry(e *edit, n nic.NIC) error {
	seats, err := seatsUnder(e, n.ID)
	if err != nil {
		return err
	}
	for _, s := range seats { // of addresses that cool down: they go with the NIC
		e.delete(s.Key, s.Rev)
	}
	key := carriersKey(n.Node, n.Network, n.Tenant)
	all, rev, found, err := get[carriers](e, key)
	if err != nil || !found || !slices.Contains(all.NICs, n.ID) {
		return err
	}
	all.NICs = slices.DeleteFunc(all.NICs, func(id nic.ID) bool { return id == n.ID })
	if len(all.NICs) == 0 {
		e.delete(key, rev)
		return nil
	}
	e.update(key, all, rev)
	return nil
}

// closeCarrier has no further claim get a seat where one was in vain. The NIC goes
// with the seats that there are.
func (a *Allocator) closeCarrier(e *edit, seat nic.NIC) error {
	if seat.Carrier == "" {
		return nil
	}
	c, rev, found, err := get[nic.NIC](e, nicKey(seat.Carrier))
	if err != nil || !found || c.Closed {
		return err
	}
	c.Closed = true
	e.update(nicKey(c.ID), c, rev)
	return nil
}
