package allocator

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// judgeSeat is judgeOne for a claim whose address goes alone: to a NIC on the node
// that has a place for it, or to one that is made there.
func (c *candidacy) judgeSeat(p provider.Provider, network nic.Network, claim nic.Claim, n nic.NIC) error {
	of := claim.Owner.Interface + " of " + claim.Container
	off, _, found, err := get[nic.NIC](c.e, nicKey(n.Carrier))
	if err != nil {
		return err
	}
	if _, _, err := c.a.assigner(network.Provider); err != nil {
		c.against("network", "", "the address of %s cannot go to another NIC: %s", of, err)
	}
	switch {
	case !found || len(n.Seen.Addrs) == 0:
		c.against("claim", "try again when it has", "%s has no address yet", of)
		return nil
	case off.Provider != network.Provider:
		c.against("network", "", "%s has an address at provider %s, and its network is one of provider %s now", of, off.Provider, network.Provider)
	case len(c.node.Instances) > 0 && c.node.Instances[network.Provider] == "":
		c.against("network", "say its instance in the controller's config", "node %s has no instance at provider %s, whose network %s is", c.to, network.Provider, network.Name)
	case network.Cloud.Shared && slices.ContainsFunc(c.room.NICs, func(o nic.PlannedNIC) bool { return o.Network == network.Name }):
		c.against("network", "give one of them another network", "%s has two NICs in network %s; of such one alone can move, as they share a NIC", claim.Container, network.Name)
	}
	_, place, err := c.a.placeFor(c.e, network, c.node, off)
	if err != nil {
		return err
	}
	if !place && c.place(p, network, claim, off) {
		c.slots[machineFor(network, c.node)]++
	}
	c.room.NICs = append(c.room.NICs, nic.PlannedNIC{
		Claim: claim.ID, NIC: claim.NIC, Interface: claim.Owner.Interface, Network: claim.Request.Network,
		Identity: claim.Identity, Travel: string(provider.Readdress),
	})
	return nil
}

// placeFor finds a NIC on the node that can have one address more, of the subnet of
// the NIC that it comes from.
func (a *Allocator) placeFor(e *edit, network nic.Network, node nic.Node, off nic.NIC) (best carrier, found bool, err error) {
	all, _, err := listed(e, network, node, off.Tenant)
	if err != nil {
		return best, false, err
	}
	for _, id := range all.NICs {
		c, there, err := readCarrier(e, id)
		if err != nil {
			return best, false, err
		}
		fits := there && c.Phase == nic.PhaseCarrying && !c.Closed && !c.Alone && c.Spec.Cloud.Subnet == off.Spec.Cloud.Subnet &&
			!staleFor(c.NIC, network, instanceOf(node, network.Provider)) && c.Room > len(seatAddrs(c.NIC))+c.coming+len(c.Astray)
		if fits && (!found || c.better(best)) {
			best, found = c, true
		}
	}
	return best, found, nil
}

// hasPlace says whether the claim could move to the node without a further slot.
func (a *Allocator) hasPlace(ctx context.Context, claim nic.Claim, to string) (bool, error) {
	e := a.reader(ctx)
	network := a.networks[claim.Request.Network]
	if claim.NIC == "" || !network.Cloud.Shared {
		return false, nil
	}
	n, _, _, err := get[nic.NIC](e, nicKey(claim.NIC))
	if err != nil || n.Carrier == "" {
		return false, err
	}
	off, _, _, err := get[nic.NIC](e, nicKey(n.Carrier))
	if err != nil {
		return false, err
	}
	node, _, _, err := get[nic.Node](e, nodeKey(to))
	if err != nil {
		return false, err
	}
	_, found, err := a.placeFor(e, network, node, off)
	return found, err
}

// letPlacesGo ends what the claims' last moves have kept for them, where that is not
// done yet: a seat has one such place at a time.
func (a *Allocator) letPlacesGo(ctx context.Context, ids []nic.ClaimID) error {
	e := a.reader(ctx)
	for _, id := range ids {
		claim, _, _, err := get[nic.Claim](e, claimKey(id))
		if err != nil {
			return err
		}
		n, _, _, err := get[nic.NIC](e, nicKey(cmp.Or(claim.NIC, "none")))
		if err != nil {
			return err
		}
		if err := a.letNextGo(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// keepPlace keeps a place for the address of a claim that moves, on a NIC of the node
// that it goes to, if the address goes alone. The NIC is plugged in ahead if it is
// not there: the container runs meanwhile.
func (a *Allocator) keepPlace(e *edit, claim *nic.Claim) error {
	n, rev, _, err := get[nic.NIC](e, nicKey(claim.NIC))
	if err != nil || n.Carrier == "" {
		return err
	}
	if n.Next != "" { // it could not be given back before: see letPlacesGo
		return fmt.Errorf("begin move %s: %w: the place on NIC %s that its last move kept is not given back yet; try again", claim.Move.Move, ErrRefused, n.Next)
	}
	network := a.networks[claim.Request.Network]
	node, _, _, err := get[nic.Node](e, nodeKey(claim.Move.To.Node))
	if err != nil {
		return err
	}
	off, _, _, err := get[nic.NIC](e, nicKey(n.Carrier))
	if err != nil {
		return err
	}
	c, found, err := a.placeFor(e, network, node, off)
	if err != nil {
		return err
	}
	if !found {
		all, listRev, err := listed(e, network, node, off.Tenant)
		if err != nil {
			return err
		}
		c = carrier{NIC: a.newCarrier(e, network, node, off.Tenant)}
		listCarrier(e, c.NIC, all, listRev)
		inSubnetOf(&c.NIC, off)
		c.Arrives = 1
	}
	c.Seats++
	e.put(nicKey(c.ID), c.NIC, c.rev)
	for _, addr := range n.Seen.Addrs {
		_, at, _, err := get[nic.Reservation](e, seatKey(c.ID, addr)) // of when it was there before
		if err != nil {
			return err
		}
		e.put(seatKey(c.ID, addr), seatOf(n), at)
	}
	n.Next = c.ID
	e.update(nicKey(n.ID), n, rev)
	claim.Move.ByAddress = true
	return nil
}

// inSubnetOf has a NIC that is to be made be in the subnet of another.
func inSubnetOf(n *nic.NIC, other nic.NIC) {
	n.Spec.Cloud.Subnets, n.Spec.Cloud.Pick = nil, nic.PickMostFree
	n.Spec.Cloud.Zone, n.Spec.Cloud.Subnet = other.Spec.Cloud.Zone, other.Spec.Cloud.Subnet
}
