package allocator

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// takeSpare gives the claim a NIC that its node has in reserve, if one fits:
// nothing is asked of the provider then. The NIC is written at the revision it
// was read at, so it goes to one claim, and not to its provider meanwhile (F15).
func (a *Allocator) takeSpare(e *edit, claim *nic.Claim, network nic.Network, node nic.Node, asked time.Time) (bool, error) {
	it, ok, err := a.spareFor(e, *claim, network, node.Name, claim.Identity.MAC)
	switch {
	case err != nil:
		return false, err
	case e.spare != "" && it.ID != e.spare: // another NIC with that MAC would be its twin
		return false, fmt.Errorf("spare NIC %s, whose MAC claim %s was to get: %w", e.spare, claim.ID, store.ErrConflict)
	case !ok:
		return false, nil
	}
	n, rev, found, err := get[nic.NIC](e, nicKey(it.ID))
	if err != nil {
		return false, err
	}
	if !found || n.Holder != "" || stateOf(n) != it.State {
		return false, fmt.Errorf("spare NIC %s: %w", it.ID, store.ErrConflict)
	}
	n.Holder, claim.NIC = claim.ID, n.ID
	n.Tenant = claim.Tenant
	n.Layer3 = layer3(network, *claim, n.Seen.Subnets)
	n.Steps = []nic.Step{{Name: nic.StepAsked, At: asked}}
	a.stepped(&n, nic.StepSpare)
	nic.ClearCondition(&n.Conditions)
	if n.Phase != nic.PhasePlanned {
		a.setPhase(&n, nic.PhaseSpare) // where it cools
		a.setPhase(&n, nic.PhaseHeld)
		a.hand(claim, &n)
	}
	e.update(nicKey(n.ID), n, rev)
	return true, nil
}

// spareFor finds the NIC in reserve that the claim would get with the MAC; zero
// for any.
func (a *Allocator) spareFor(e *edit, claim nic.Claim, network nic.Network, node string, mac nic.MAC) (pool.Item, bool, error) {
	given := network.Addressing == nic.AddrProvider && len(claim.Request.Addrs) > 0
	if network.Pool.Max == 0 || given {
		return pool.Item{}, false, nil
	}
	ids := a.spares.on(node) // what the leader has seen; a choice is checked when it is written
	if !a.leading() {
		all, err := idsOn(e, node)
		if err != nil {
			return pool.Item{}, false, err
		}
		ids = all
	}
	r, err := a.reserves(e, node, ids)
	if err != nil {
		return pool.Item{}, false, err
	}
	it, ok := r.of(network.Name).Choose(pool.Demand{Claim: claim.ID, Network: network.Name, Tenant: claim.Tenant, MAC: mac}, r.items)
	return it, ok, nil
}

// hasSpare says whether the claim would get a NIC without a further slot.
func (a *Allocator) hasSpare(ctx context.Context, claim nic.Claim) bool {
	network, ok := a.networks[claim.Request.Network]
	if !ok || network.Cloud.Seats() || !claim.Identity.MAC.IsZero() { // a MAC that is a claim's is no spare's
		return false
	}
	_, ok, err := a.spareFor(a.reader(ctx), claim, network, claim.Owner.Node, claim.Identity.MAC)
	return ok && err == nil
}

// cool ends a claim whose NIC is clean, and keeps the NIC. The NIC keeps its
// MAC, which nobody else may have meanwhile; all else cools down as ever.
func (a *Allocator) cool(ctx context.Context, id nic.ID) error {
	var n nic.NIC
	kept := false
	err := a.asLeader(ctx, func(e *edit) (err error) {
		var rev store.Rev
		var found bool
		n, rev, found, err = get[nic.NIC](e, nicKey(id))
		if kept = found && stateOf(n) == pool.Clean; err != nil || !kept {
			return err
		}
		claim, claimRev, found, err := get[nic.Claim](e, claimKey(n.Holder))
		if err != nil {
			return err
		}
		if found && claim.NIC == id {
			if claim.Phase != nic.ClaimReleasing {
				n.Reuse, kept = false, false // it has its MAC still
				e.update(nicKey(id), n, rev)
				return nil
			}
			if wait, stuck, err := stillPublic(e, n.Holder); wait || err != nil {
				if kept = false; stuck { // then it is deleted instead
					n.Reuse = false
					e.update(nicKey(id), n, rev)
				}
				return err
			}
			if err := a.endClaim(e, claim, claimRev); err != nil {
				return err
			}
		}
		if err := e.keepMAC(n); err != nil {
			return err
		}
		a.setPhase(&n, nic.PhaseCooling)
		n.Holder, n.Layer3, n.Clean, n.Reuse, n.Conditions = "", nic.Layer3{}, false, false, nil
		n.Steps = nil
		n.Turn++
		e.update(nicKey(id), n, rev)
		return e.drop(observedKey(id)) // what was said is of the last
	})
	if !kept {
		return err
	}
	return a.logged(n, "NIC kept as a spare", err)
}

// keepMAC reserves a NIC's MAC for the NIC itself, unless the provider drew it.
func (e *edit) keepMAC(n nic.NIC) error {
	if n.Spec.MAC.IsZero() {
		return nil
	}
	key := macKey(n.Spec.MAC)
	own := nic.Reservation{Schema: nic.Schema, Owner: nicKey(n.ID), Network: n.Network, Tenant: n.Tenant}
	for i, op := range e.ops {
		if op.Key != key {
			continue
		}
		e.ops = append(e.ops[:i], e.ops[i+1:]...) // how its claim would have let it go
		e.update(key, own, op.Expect)
		return nil
	}
	r, rev, found, err := get[nic.Reservation](e, key)
	if err != nil {
		return err
	}
	if found && !r.OpenTo("", e.now()) && r.Owner != own.Owner {
		return fmt.Errorf("MAC %s of NIC %s is held by another: %w", n.Spec.MAC, n.ID, store.ErrConflict)
	}
	e.update(key, own, rev)
	return nil
}

// letMACGo ends a NIC's own reservation. For its peers' sake it cools down.
func (a *Allocator) letMACGo(e *edit, n nic.NIC) error {
	if n.Holder != "" || n.Spec.MAC.IsZero() {
		return nil
	}
	r, rev, found, err := get[nic.Reservation](e, macKey(n.Spec.MAC))
	if err != nil || !found || r.Owner != nicKey(n.ID) {
		return err
	}
	cool := a.networks[n.Network].Cooldown.D()
	if cool == 0 || n.Turn == 0 { // nobody has ever had it
		e.delete(macKey(n.Spec.MAC), rev)
		return nil
	}
	end := a.now().Add(cool)
	e.update(macKey(n.Spec.MAC), nic.Reservation{Schema: nic.Schema, Network: n.Network, Tenant: n.Tenant, Free: end, Until: end}, rev)
	return nil
}

// thaw ends a NIC's cooling when it is time.
func (a *Allocator) thaw(ctx context.Context, n nic.NIC) (time.Duration, error) {
	if left := a.until(n.Since.Add(a.coolingOf(n))); left > 0 {
		return left, nil
	}
	return 0, a.change(ctx, n.ID, func(n *nic.NIC) bool {
		if n.Phase != nic.PhaseCooling {
			return false
		}
		a.setPhase(n, nic.PhaseSpare)
		return true
	})
}

func (a *Allocator) coolingOf(n nic.NIC) time.Duration {
	if network, ok := a.networks[n.Network]; ok {
		return network.Cooldown.D()
	}
	return restUnknown
}

// shed takes a NIC out of the reserve, unless a claim has got it meanwhile.
func (a *Allocator) shed(ctx context.Context, r pool.Retirement) error {
	var n nic.NIC
	gone := false
	err := a.asLeader(ctx, func(e *edit) (err error) {
		var rev store.Rev
		var found bool
		n, rev, found, err = get[nic.NIC](e, nicKey(r.NIC))
		if gone = false; err != nil || !found {
			return err
		}
		switch stateOf(n) {
		case pool.Clean: // it goes on as it is
			n.Reuse = false
		case pool.Making, pool.Spare, pool.Cooling:
			gone = e.homeward(&n)
		default:
			return nil
		}
		e.update(nicKey(n.ID), n, rev)
		return nil
	})
	if err == nil && gone {
		a.opts.Log.Info("spare NIC given back", "nic", n.ID, "claim", n.Holder, "network", n.Network, "node", n.Node, "why", r.Why)
	}
	return err
}

// makeSpare plans a NIC of the network that nobody holds, unless the node has been
// revoked or is being forgotten meanwhile.
func (a *Allocator) makeSpare(ctx context.Context, network nic.Network, name string) error {
	return a.asLeader(ctx, func(e *edit) error {
		node, rev, found, err := get[nic.Node](e, nodeKey(name))
		if err != nil || !found || node.Phase != nic.NodeReady {
			return err
		}
		e.fenceAt(nodeKey(name), rev)
		var mac nic.MAC
		if !a.opts.Providers[network.Provider].Info().DrawsMACs {
			mac = nic.NewMAC()
		}
		n := a.newNIC(network, node, "", mac)
		n.Carries = network.Cloud.Shared
		if !mac.IsZero() {
			e.create(macKey(mac), nic.Reservation{Schema: nic.Schema, Owner: nicKey(n.ID), Network: network.Name})
		}
		e.create(nicKey(n.ID), n)
		e.create(onKey(n.Node, n.ID), n.ID)
		return nil
	})
}

// stateOf is what a NIC is to its node's pools.
func stateOf(n nic.NIC) pool.State {
	switch {
	case n.Phase == nic.PhaseCarrying, n.Phase == nic.PhasePlanned && n.Seats > 0:
		return pool.Held // by its seats
	case n.Phase == nic.PhasePlanned && n.Holder == "":
		return pool.Making
	case n.Phase == nic.PhaseSpare:
		return pool.Spare
	case n.Phase == nic.PhaseCooling:
		return pool.Cooling
	case n.Phase == nic.PhasePlanned, n.Phase == nic.PhaseHeld:
		return pool.Held
	case n.Phase == nic.PhaseReturning && n.Clean && n.Reuse:
		return pool.Clean
	}
	return pool.Leaving
}

// staleFor says whether the network makes its NICs otherwise now.
func staleFor(n nic.NIC, network nic.Network, at nic.InstanceID) bool {
	d, p := n.Spec.Device, n.Spec.Port
	return n.Provider != network.Provider || n.Instance != at || n.Spec.MTU != network.MTU ||
		d.Kind != network.Device.Kind || d.Parent != network.Device.Parent || d.Bridge.Name != network.Device.Bridge.Name ||
		p.Kind != network.Port.Kind || p.Name != network.Port.Name || p.VLAN != network.Port.VLAN || p.Filter != network.Port.Filter ||
		p.Queues != network.Port.Queues || p.Inbound != network.Port.Inbound || p.Outbound != network.Port.Outbound ||
		network.Port.Model != "" && p.Model != network.Port.Model || !network.Cloud.Made(n.Spec.Cloud) ||
		network.Cloud.Seats() != n.Carries || n.Carries && network.Cloud.Shared == n.Alone
}

// nicIDOf reads the NIC out of a reservation's owner; "" if it is none's.
func nicIDOf(owner string) nic.ID {
	id, ok := strings.CutPrefix(owner, nicPrefix)
	if !ok {
		return ""
	}
	return nic.ID(id)
}
