package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// MoveRoom says how claims would get to a node, and all that stands against it
// there.
func (a *Allocator) MoveRoom(ctx context.Context, ids []nic.ClaimID, to string) (nic.MoveRoom, error) {
	c := candidacy{a: a, e: a.reader(ctx), to: to}
	for _, id := range ids {
		claim, _, found, err := get[nic.Claim](c.e, claimKey(id))
		if err != nil || !found {
			return nic.MoveRoom{}, orNotFound(err, "claim %s", id)
		}
		c.claims = append(c.claims, claim)
	}
	if err := c.judge(); err != nil {
		return nic.MoveRoom{}, err
	}
	free, err := c.freeSlots()
	if err != nil {
		return nic.MoveRoom{}, err
	}
	for m, need := range c.slots {
		free, asked := free[m]
		switch {
		case !asked:
		case free < need:
			c.against("slots", "make room on the node, or choose another", "provider %s has %d slots free on %s that are promised to nobody, and %d are needed",
				m.Provider, max(0, free), to, need)
		case c.room.Free == 0 || free-need < c.room.Free:
			c.room.Free = free - need
		}
	}
	return c.room, nil
}

// A candidacy is claims and a node that they are to go to, held against each
// other.
type candidacy struct {
	a      *Allocator
	e      *edit
	to     string
	node   nic.Node
	claims []nic.Claim
	slots  map[pool.Machine]int // that are needed
	room   nic.MoveRoom
}

func (c *candidacy) against(about, remedy, format string, args ...any) {
	c.room.Refusals = append(c.room.Refusals, nic.MoveRefusal{About: about, Why: fmt.Sprintf(format, args...), Remedy: remedy})
}

// judge finds all that the records say. An error is the store's.
func (c *candidacy) judge() error {
	c.slots, c.room = map[pool.Machine]int{}, nic.MoveRoom{NICs: []nic.PlannedNIC{}}
	node, rev, found, err := get[nic.Node](c.e, nodeKey(c.to))
	if err != nil {
		return err
	}
	if !found {
		c.against("node", "start its agent, or see nicferry get nodes", "no agent of node %q has said hello", c.to)
		return nil
	}
	c.node = c.a.withLife(node)
	c.e.fenceAt(nodeKey(c.to), rev)
	switch {
	case !node.Revoked.IsZero():
		c.against("node", "have it join anew", "node %s is revoked", c.to)
	case node.Phase == nic.NodeLost:
		c.against("node", "", "node %s is being forgotten", c.to)
	case c.node.Phase == nic.NodeSilent:
		c.against("node", "see to its agent", "node %s is silent since %s", c.to, c.node.LastSeen.Format("15:04:05 MST"))
	}
	if err := c.a.crowds.room(c.to, c.a.opts.MaxClaims-len(c.claims)+1); err != nil {
		c.against("node", "", "%s", err)
	}
	for _, claim := range c.claims {
		if err := c.judgeOne(claim); err != nil {
			return err
		}
	}
	return nil
}

func (c *candidacy) judgeOne(claim nic.Claim) error {
	a := c.a
	of := claim.Owner.Interface + " of " + claim.Container
	if claim.Owner.Node == c.to {
		c.against("node", "", "%s is on node %s already", of, c.to)
	}
	if why := unmovable(claim); why != "" {
		c.against("claim", "try again when it is over", "%s %s", of, why)
	}
	if may := a.tenantsOf(c.to); !slices.Contains(may, nic.TenantOf(claim.Tenant)) {
		c.against("tenant", "", "%s is of tenant %s; node %s may run containers of %s alone", of, nic.TenantOf(claim.Tenant), c.to, strings.Join(may, ", "))
	}
	network, known := a.networks[claim.Request.Network]
	if !known {
		c.against("network", "put it back into the config", "%s is in network %q, which is not in the controller's config", of, claim.Request.Network)
		return nil
	}
	if !network.For(nic.TenantOf(claim.Tenant)) {
		c.against("network", "", "tenant %s may not use network %s", nic.TenantOf(claim.Tenant), network.Name)
	}
	if why := a.misfit(claim); why != "" {
		c.against("network", "", "what %s has would not be given any more: %s", of, why)
	}
	p := a.opts.Providers[network.Provider]
	travel := p.Info().Travel
	n, _, has, err := get[nic.NIC](c.e, nicKey(cmp.Or(claim.NIC, "none")))
	if err != nil {
		return err
	}
	if n.Carrier != "" {
		return c.judgeSeat(p, network, claim, n)
	}
	if !has || !a.carries(n) {
		if p.Info().DrawsMACs {
			c.against("network", "", "%s would get another MAC: provider %s draws them, and cannot carry this NIC", of, network.Provider)
		}
		travel = provider.Rebuild
	}
	if has && n.Provider != network.Provider {
		c.against("network", "", "%s has a NIC of provider %s, and its network is one of provider %s now", of, n.Provider, network.Provider)
	}
	if len(c.node.Instances) > 0 && c.node.Instances[network.Provider] == "" {
		c.against("network", "say its instance in the controller's config", "node %s has no instance at provider %s, whose network %s is", c.to, network.Provider, network.Name)
	}
	if c.place(p, network, claim, n) {
		c.slots[machineFor(network, c.node)]++
	}
	c.room.NICs = append(c.room.NICs, nic.PlannedNIC{
		Claim: claim.ID, NIC: claim.NIC, Interface: claim.Owner.Interface, Network: claim.Request.Network,
		Identity: claim.Identity, Travel: string(travel),
	})
	return nil
}

// place asks the provider whether it could place the claim's NIC on the node, or
// another such where it is not carried, if it has anything to say of that.
func (c *candidacy) place(p provider.Provider, network nic.Network, claim nic.Claim, now nic.NIC) bool {
	ctx, cancel := context.WithTimeout(c.e.ctx, worstCall(p))
	defer cancel()
	trial := c.a.newNIC(network, c.node, claim.Tenant, claim.Identity.MAC)
	switch {
	case now.Spec.Cloud.Subnet == "" || !c.a.carries(now):
	case now.Carries:
		inSubnetOf(&trial, now)
	default: // which no NIC leaves
		trial.Spec.Cloud = now.Spec.Cloud
	}
	err := fits(ctx, p, trial.Spec, c.node)
	if err != nil {
		c.against("network", "", "provider %s has no place for %s on node %s: %s", network.Provider, claim.Owner.Interface, c.to, err)
	}
	return err == nil && !fallsBack(network.Functions)
}

// unmovable says what of the claim is against any move; "" if nothing is.
func unmovable(claim nic.Claim) string {
	switch {
	case onMove(claim):
		return "is in move " + string(claim.Move.Move) + " already"
	case claim.Phase == nic.ClaimReady || claim.Phase == nic.ClaimBound:
		return ""
	case claim.Phase == nic.ClaimPending && claim.NIC == "" && !claim.StoppedAt.IsZero() && hasIdentity(&claim):
		return "" // its container does not run, and the hold is over
	}
	return "is " + string(claim.Phase) + waitingFor(claim)
}

func waitingFor(claim nic.Claim) string {
	if len(claim.Conditions) == 0 {
		return ""
	}
	return ": " + claim.Conditions[0].Message
}

// freeSlots asks for the slots that are needed. What a provider does not say is
// against the move.
func (c *candidacy) freeSlots() (map[pool.Machine]int, error) {
	free, err := c.a.freeSlots(c.e.ctx, slices.Collect(maps.Keys(c.slots)))
	if ctx := c.e.ctx; err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for m := range c.slots {
		spares, listErr := sparesAt(c.e, m, c.to)
		if listErr != nil {
			return nil, listErr
		}
		if _, said := free[m]; said {
			free[m] += len(spares) // they go home for what comes
		} else {
			c.against("slots", "", "provider %s does not say how many slots are free on %s: %s", m.Provider, c.to, err)
		}
	}
	return free, nil
}

// err is all that stands against the move, as one error.
func (c *candidacy) err(what string) error {
	var errs []error
	for _, r := range c.room.Refusals {
		errs = append(errs, fmt.Errorf("%s: %s", r.About, r.Why))
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w: %w", what, ErrRefused, errors.Join(errs...))
}
