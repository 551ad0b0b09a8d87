package invariant

import (
	"maps"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// seatKind is the kernel's word for an interface that shares its parent's MAC.
const seatKind = string(nic.Ipvlan)

// seats finds NICs that are on another, or carry others, and do not belong together
// as they should: each seat is one claim's, on a NIC of its node that is there for
// seats, with an address of its own (P1, P2, P6).
func (c *check) seats() {
	on := map[nic.ID]int{}
	for _, n := range c.Records.NICs {
		if n.Carrier == "" {
			if !n.Carries && (n.Phase == nic.PhaseCarrying || n.Seats != 0) || n.Carries && (n.Holder != "" || n.Phase == nic.PhaseHeld) {
				c.add(P2, ids(n.ID), "is %s for %q, and carries %d seats", n.Phase, n.Holder, n.Seats)
			}
			continue
		}
		on[n.Carrier]++
		if n.Next != "" {
			on[n.Next]++
			if next := c.now.nics[n.Next]; !next.Carries || next.Node == n.Node || nic.TenantOf(next.Tenant) != nic.TenantOf(n.Tenant) {
				c.add(P6, ids(n.ID, n.Next), "the seat is on %s, and has a place kept on the other, which is on %s", n.Node, next.Node)
			}
		}
		switch carrier, ok := c.now.nics[n.Carrier]; {
		case !ok || !carrier.Carries:
			c.add(P2, ids(n.ID, n.Carrier), "the first is %s, a seat on the other, which carries none", n.Phase)
		case carrier.Node != n.Node || nic.TenantOf(carrier.Tenant) != nic.TenantOf(n.Tenant) || carrier.Network != n.Network:
			c.add(P6, ids(n.ID, n.Carrier), "the seat is of %s, %s, %s; what it is on of %s, %s, %s",
				n.Node, n.Tenant, n.Network, carrier.Node, carrier.Tenant, carrier.Network)
		case n.Phase == nic.PhaseHeld && carrier.Phase != nic.PhaseCarrying:
			c.add(P4, ids(n.ID, n.Carrier), "the seat is held, and what it is on is %s", carrier.Phase)
		}
	}
	for _, n := range c.Records.NICs {
		if n.Seats != on[n.ID] || n.Seats > 0 && n.Phase != nic.PhasePlanned && n.Phase != nic.PhaseCarrying {
			c.add(P2, ids(n.ID), "is %s and counts %d seats, and there are %d", n.Phase, n.Seats, on[n.ID])
		}
	}
	if c.Records.Seats != nil {
		c.taken()
	}
}

// taken compares the seats with the index of who has them.
func (c *check) taken() {
	for _, key := range slices.Sorted(maps.Keys(c.Records.Seats)) {
		holder := nic.ClaimID(c.Records.Seats[key])
		carrier, _, _ := strings.Cut(key, "/")
		if _, ok := c.now.nics[nic.ID(carrier)]; !ok {
			c.add(P2, []string{carrier}, "has no record, and its seat %s has", key)
		}
		seat := c.now.nics[c.now.claims[holder].NIC]
		if holder != "" && key != keyOf(seat, seat.Carrier) && (seat.Next == "" || key != keyOf(seat, seat.Next)) {
			c.add(P1, []string{carrier, string(holder)}, "the seat %s is the claim's, which has it not", key)
		}
	}
	for _, n := range c.Records.NICs {
		for _, on := range []nic.ID{n.Carrier, n.Next} {
			if key := keyOf(n, on); on != "" && c.Records.Seats[key] != string(n.Holder) {
				c.add(P1, ids(n.ID), "has the seat %s, which is recorded as %q's", key, c.Records.Seats[key])
			}
		}
	}
}

// keyOf is where a seat is in the index, of one of the NICs that it has a place on: by its address, or while it waits for one
// by its id.
func keyOf(seat nic.NIC, on nic.ID) string {
	if len(seat.Seen.Addrs) == 0 {
		return string(on) + "/" + string(seat.ID)
	}
	return string(on) + "/" + seat.Seen.Addrs[0].String()
}
