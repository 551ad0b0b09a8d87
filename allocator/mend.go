package allocator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// errMoved is for a finding that is not so any more at the moment of acting.
var errMoved = errors.New("it has changed meanwhile; nothing was done")

// mend acts upon a finding. All but plugAgain and reassign is a record that the life cycle
// works on then, as on any other: nothing is deleted here.
func (a *Allocator) mend(ctx context.Context, f finding) error {
	switch f.does {
	case collect:
		return a.collect(ctx, f)
	case restore:
		return a.restore(ctx, f)
	case elsewhere:
		return a.unplugElsewhere(ctx, f)
	case plugAgain:
		return a.plugAgain(ctx, f)
	case lookAgain:
		return a.change(ctx, f.NIC, func(n *nic.NIC) bool { n.Again++; return true })
	case renew:
		return a.renew(ctx, f)
	case sendHome:
		return a.sendHome(ctx, f)
	case release:
		return a.releaseFound(ctx, f)
	case dropIndex:
		return a.dropIndex(ctx, f)
	case recount:
		return a.recount(ctx, f)
	case reassign:
		return a.reassign(ctx, f)
	case adopt:
		return a.adoptPublic(ctx, f)
	case republish:
		return a.republish(ctx, f)
	}
	return errMoved
}

// collect writes a record for a NIC that has none, on its way home: the node
// takes it out, the provider unplugs and deletes it, and the record ends with
// it.
func (a *Allocator) collect(ctx context.Context, f finding) error {
	n := a.strayRecord(f)
	return a.asLeader(ctx, func(e *edit) error {
		now, rev, found, err := get[nic.NIC](e, nicKey(f.NIC))
		if err != nil {
			return err
		}
		if found && keeps(now) {
			return errMoved
		}
		if f.stray.NIC != "" {
			if err := roomForStrays(e, n.Node); err != nil {
				return err
			}
		}
		e.update(nicKey(n.ID), n, rev)
		if n.Node == "" {
			return nil
		}
		return e.ensure(onKey(n.Node, n.ID), n.ID)
	})
}

// strayRecord is what can be said of a NIC without a record.
func (a *Allocator) strayRecord(f finding) nic.NIC {
	now := a.now()
	n := nic.NIC{
		Schema: nic.Schema, ID: f.NIC, Provider: f.Provider, Node: f.Node, Instance: f.seen.Place.Instance,
		Phase: nic.PhaseReturning, Seen: f.seen, Placed: f.Provider != "", Created: now, Since: now,
		Spec:       nic.Spec{NIC: f.NIC, Node: f.Node, MAC: f.seen.MAC, Addrs: f.seen.Addrs, Device: f.seen.Device},
		Conditions: []nic.Condition{*a.because(nic.ReasonUnrecorded, "%s", f.Message)},
	}
	if f.stray.NIC == "" {
		return n
	}
	n.Seen.Device = a.recipeOf(f.stray)
	n.Spec.Device = n.Seen.Device
	if n.Spec.Device.Kind != nic.Ipvlan { // whose MAC is another's
		n.Seen.MAC, n.Spec.MAC = n.Seen.Device.MAC, n.Seen.Device.MAC
	}
	for _, name := range slices.Sorted(maps.Keys(a.networks)) {
		network := a.networks[name]
		if d := network.Device; d.Kind == n.Seen.Device.Kind && d.Bridge.Name == n.Seen.Device.Bridge.Name && d.Parent == n.Seen.Device.Parent {
			n.Network, n.Provider = name, network.Provider
		}
	}
	if n.Provider == "" { // whose it was nobody knows; none is asked, since it is not placed
		n.Provider = slices.Min(slices.Collect(maps.Keys(a.opts.Providers)))
	}
	return n
}

// recipeOf is by what a node can remove what it made. The config knows more of a
// bridge than its name: whether it goes with its last NIC.
func (a *Allocator) recipeOf(s nic.Stray) nic.Device {
	d := nic.Device{Kind: nic.DeviceKind(s.Kind), MAC: s.MAC, Parent: s.Parent, Bridge: nic.Bridge{Name: s.Bridge}}
	if d.MAC.IsZero() {
		d.MAC = nic.NewMAC() // it names nothing here: the mark does
	}
	for _, network := range a.networks {
		known := network.Device.Bridge
		if d.Kind == nic.Veth && known.Name != "" && (known.Name == s.Bridge || s.Bridge == "") {
			d.Bridge = known
		}
	}
	if d.Kind == nic.Veth && d.Bridge.Name == "" {
		d.Bridge.Name = "none"
	}
	return d
}

// claimWithoutNIC is the finding's claim if it still names the finding's NIC,
// and that still has no record; else errMoved.
func claimWithoutNIC(e *edit, f finding) (nic.Claim, store.Rev, error) {
	claim, rev, found, err := get[nic.Claim](e, claimKey(f.Claim))
	if err != nil || !found || claim.NIC != f.NIC {
		return claim, 0, errors.Join(err, errMoved)
	}
	if _, _, there, err := get[nic.NIC](e, nicKey(f.NIC)); err != nil || there {
		return claim, 0, errors.Join(err, errMoved)
	}
	return claim, rev, nil
}

// restore writes the record of a NIC anew that a claim has, and that is where
// the claim needs it: its container loses no packet.
func (a *Allocator) restore(ctx context.Context, f finding) error {
	return a.asLeader(ctx, func(e *edit) error {
		claim, rev, err := claimWithoutNIC(e, f)
		if err != nil {
			return err
		}
		n := a.asMade(f, claim)
		if claim.Phase == nic.ClaimReleasing || claim.Phase == nic.ClaimPending {
			n.Phase = nic.PhaseReturning // it was on its way home
		}
		e.check(claimKey(claim.ID), rev)
		e.create(nicKey(n.ID), n)
		return e.ensure(onKey(n.Node, n.ID), n.ID)
	})
}

// asMade is the record of a NIC that a claim has, by what its provider and its network
// say of it now: what it was asked for is lost with its record.
func (a *Allocator) asMade(f finding, claim nic.Claim) nic.NIC {
	network := a.networks[claim.Request.Network]
	n := a.newNIC(network, nic.Node{Name: claim.Owner.Node}, claim.Tenant, f.seen.MAC)
	n.ID, n.Network, n.Provider, n.Instance = f.NIC, claim.Request.Network, f.Provider, f.seen.Place.Instance
	n.Phase, n.Placed, n.Holder, n.Seen = nic.PhaseHeld, true, claim.ID, f.seen
	n.Layer3 = layer3(network, claim, f.seen.Subnets)
	n.Spec.NIC, n.Spec.Network, n.Spec.Addrs, n.Spec.Device = f.NIC, n.Network, f.seen.Addrs, nic.Device{}
	n.Spec.Functions = nic.Functions{}
	if f.seen.Device.Kind.Made() {
		n.Spec.Device = f.seen.Device
	}
	if a.opts.Providers[f.Provider].Info().DrawsMACs { // and is never asked for one
		n.Spec.MAC = nic.MAC{}
	}
	if f.seen.Subnet != "" {
		n.Spec.Cloud.Subnets, n.Spec.Cloud.Pick, n.Spec.Cloud.Subnet = nil, "", f.seen.Subnet
	}
	return n
}

// unplugElsewhere has the provider unplug a NIC from every node but its own:
// somebody has plugged it in there by other means. From where it is not, nothing
// is unplugged. No intent is stored before, as there is none to go on with: no
// record says that the NIC is there, a NIC's own instance never changes, and a
// controller that dies on the way leaves what the next audit finds again.
func (a *Allocator) unplugElsewhere(ctx context.Context, f finding) error {
	p, ok := a.opts.Providers[f.Provider]
	if !ok {
		return errMoved
	}
	n, _, found, err := get[nic.NIC](a.reader(ctx), nicKey(f.NIC))
	if err != nil || !found || !inUse(n) {
		return errors.Join(err, errMoved)
	}
	nodes, err := a.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		at := instanceOf(node, f.Provider)
		if at == n.Instance {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, worstCall(p))
		err := p.Detach(ctx, n.ID, at)
		cancel()
		if err != nil && !errors.Is(err, provider.ErrElsewhere) && !errors.Is(err, provider.ErrNotFound) {
			return fmt.Errorf("unplug %s from %s: %w", n.ID, at, err)
		}
	}
	return nil
}

// plugAgain repeats the two verbs that bring a NIC to its node. Each is nothing
// new to a provider that has done it, and the NIC's record is the stored intent.
func (a *Allocator) plugAgain(ctx context.Context, f finding) error {
	p, ok := a.opts.Providers[f.Provider]
	if !ok {
		return errMoved
	}
	ctx, cancel := context.WithTimeout(ctx, callsPerRun*worstCall(p))
	defer cancel()
	n, _, found, err := get[nic.NIC](a.reader(ctx), nicKey(f.NIC))
	if err != nil || !found || !inUse(n) {
		return errors.Join(err, errMoved)
	}
	draws := p.Info().DrawsMACs
	if !draws { // else it would be another one
		if _, err := p.Create(ctx, n.Spec); err != nil {
			return fmt.Errorf("make %s known to provider %s again: %w", n.ID, n.Provider, err)
		}
	}
	_, err = p.Attach(ctx, n.ID, nic.Place{Node: n.Node, Instance: n.Instance})
	gone := draws && errors.Is(err, provider.ErrNotFound) // for good: its node looks, misses it, and gives it back
	if err != nil && !gone && !errors.Is(err, provider.ErrBusy) {
		return fmt.Errorf("plug %s in again: %w", n.ID, err)
	}
	return a.change(ctx, n.ID, func(n *nic.NIC) bool {
		if gone && n.Carries && isSpare(*n) { // no node is told of it, and can miss it
			return a.homeward(n)
		}
		n.Again++
		return true
	})
}

// renew takes a NIC that is nowhere from its claim, which gets another.
func (a *Allocator) renew(ctx context.Context, f finding) error {
	return a.asLeader(ctx, func(e *edit) error {
		claim, rev, err := claimWithoutNIC(e, f)
		if err != nil {
			return err
		}
		if err := e.drop(onKey(claim.Owner.Node, f.NIC)); err != nil {
			return err
		}
		if err := e.drop(observedKey(f.NIC)); err != nil {
			return err
		}
		if claim.Phase != nic.ClaimReleasing && claim.Phase != nic.ClaimRefused {
			a.setClaimPhase(&claim, nic.ClaimPending)
		}
		return a.settle(e, claim, rev)
	})
}

// sendHome takes a NIC back that no claim holds.
func (a *Allocator) sendHome(ctx context.Context, f finding) error {
	return a.asLeader(ctx, func(e *edit) error {
		n, _, found, err := get[nic.NIC](e, nicKey(f.NIC))
		if err != nil || !found || n.Phase != nic.PhaseHeld {
			return errors.Join(err, errMoved)
		}
		claim, rev, found, err := get[nic.Claim](e, claimKey(n.Holder))
		if err != nil || found && claim.NIC == n.ID {
			return errors.Join(err, errMoved)
		}
		e.check(claimKey(n.Holder), rev)
		return takeBack(e, n.ID)
	})
}

func (a *Allocator) releaseFound(ctx context.Context, f finding) error {
	claim, _, found, err := get[nic.Claim](a.reader(ctx), claimKey(f.Claim))
	if err != nil || !found {
		return errors.Join(err, errMoved)
	}
	_, err = a.release(ctx, claim.ID, claim.Epoch, func(*edit, string) error { return nil })
	return err
}

// dropIndex removes an index's record, unless it leads somewhere by now.
func (a *Allocator) dropIndex(ctx context.Context, f finding) error {
	return a.asLeader(ctx, func(e *edit) error {
		if strings.HasPrefix(f.index, movedPrefix) { // it leads nowhere by its node's word
			return e.drop(f.index)
		}
		r, err := a.read(ctx)
		if err != nil {
			return err
		}
		c := comparison{facts: facts{before: r, after: r}}
		c.indexes()
		for _, still := range c.out {
			if still.index == f.index {
				return e.drop(f.index)
			}
		}
		return errMoved
	})
}
