package allocator

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// The remedies for NICs that containers share.
const (
	reassign remedy = "have the provider give it the addresses again"
	recount  remedy = "count its seats anew"
)

// shared compares NICs that carry seats with the seats that there are, and with the
// addresses that the provider says they have.
func (c *comparison) shared() {
	lost := lostSeats(c.after.nics)
	on := seatsOnEach(c.after.nics, lost)
	isLost := func(n nic.NIC) bool { _, is := lost[n.ID]; return is }
	for _, n := range sortedNICs(c.after.nics) {
		if !carriesSeats(n) {
			continue
		}
		if seats := len(on[n.ID]); seats != n.Seats || !n.Carries || slices.ContainsFunc(on[n.ID], isLost) {
			c.add(finding{does: recount, Finding: api.Finding{
				Kind: api.FindingMiscounted, NIC: n.ID, Node: n.Node, Provider: n.Provider,
				Message: fmt.Sprintf("counts %d seats, and there are %d by the records of those", n.Seats, seats),
			}})
		}
		c.addresses(n)
	}
}

// carriesSeats says whether a NIC is for seats, also by a record that a release wrote
// which knows of none: that leaves out what it does not know.
func carriesSeats(n nic.NIC) bool { return n.Carries || n.Phase == nic.PhaseCarrying }

// lostSeats are the seats that do not say any more what they are on, and the NIC that
// it is: the one on their node with their MAC; "" where there is none such.
func lostSeats(all map[nic.ID]nic.NIC) map[nic.ID]nic.ID {
	type place struct {
		node string
		mac  nic.MAC
	}
	carriers := map[place]nic.ID{}
	for id, c := range all {
		if carriesSeats(c) && !c.Seen.MAC.IsZero() {
			carriers[place{c.Node, c.Seen.MAC}] = id
		}
	}
	lost := map[nic.ID]nic.ID{}
	for id, n := range all {
		if n.Carrier != "" || carriesSeats(n) {
			continue
		}
		on, there := carriers[place{n.Node, n.Seen.Device.MAC}]
		if kind := n.Seen.Device.Kind; kind == nic.Ipvlan || kind == nic.Found && there {
			lost[id] = on
		}
	}
	return lost
}

// seatsIn are the NICs that no provider knows of.
func seatsIn(all map[nic.ID]nic.NIC) map[nic.ID]bool {
	seats := map[nic.ID]bool{}
	for id := range lostSeats(all) {
		seats[id] = true
	}
	for id, n := range all {
		if n.Carrier != "" {
			seats[id] = true
		}
	}
	return seats
}

// seatsOnEach are the seats on each NIC, with the lost ones; see lostSeats.
func seatsOnEach(all map[nic.ID]nic.NIC, lost map[nic.ID]nic.ID) map[nic.ID][]nic.NIC {
	on := map[nic.ID][]nic.NIC{}
	for _, n := range sortedNICs(all) {
		if n.Carrier != "" {
			on[n.Carrier] = append(on[n.Carrier], n)
			if n.Next != "" {
				on[n.Next] = append(on[n.Next], n)
			}
		} else if id := lost[n.ID]; id != "" {
			on[id] = append(on[id], n)
		}
	}
	return on
}

// carrierIn is the NIC that an index of seats is about; "" for another index.
func carrierIn(key string) nic.ID {
	rest, ok := strings.CutPrefix(key, seatRoot)
	if !ok {
		return ""
	}
	id, _, _ := strings.Cut(rest, "/")
	return nic.ID(id)
}

// addresses finds those that a plugged NIC should have for its seats, and that the
// provider does not show: somebody has taken them off.
func (c *comparison) addresses(n nic.NIC) {
	s, asked := c.providers[n.Provider]
	if !asked || s.err != nil || !c.wasAndIsInUse(n) || !sameSeats(c.before.nics[n.ID], n) {
		return
	}
	missing := lacks(n, s.list[n.ID])
	if s.list[n.ID].State != nic.StateAttached || len(missing) == 0 || len(lacks(n, s.asked[n.ID])) == 0 {
		return
	}
	c.add(finding{does: reassign, Finding: api.Finding{
		Kind: api.FindingNotAtProvider, NIC: n.ID, Node: n.Node, Provider: n.Provider,
		Message: fmt.Sprintf("has %v for containers by its record, and not at the provider", missing),
	}})
}

// sameSeats says whether a NIC is to have the same addresses in both readings.
func sameSeats(a, b nic.NIC) bool { return slices.Equal(a.Seen.Addrs, b.Seen.Addrs) }

// lacks are the addresses for seats that the provider's word leaves out.
func lacks(n nic.NIC, seen nic.Seen) []netip.Addr {
	return slices.DeleteFunc(seatAddrs(n), func(addr netip.Addr) bool { return slices.Contains(seen.Addrs, addr) })
}
