package eni

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Check implements provider.Checker by tries of what will be called, and by looks at
// what the networks name.
func (p *Provider) Check(ctx context.Context, networks []nic.Network) []provider.Finding {
	found, known := p.cloud.TryLooks(ctx)
	if !known {
		return found // nobody is known by these credentials, or nobody answers
	}
	c := &checking{p: p, ctx: ctx, found: found}
	for _, n := range networks {
		c.network(n)
	}
	c.ours(slices.ContainsFunc(networks, func(n nic.Network) bool { return n.Cloud.Seats() }))
	return c.found
}

// checking is one Check.
type checking struct {
	p     *Provider
	ctx   context.Context
	found []provider.Finding
}

func (c *checking) add(v provider.Verdict, network, about, format string, args ...any) {
	c.found = append(c.found, provider.Finding{Verdict: v, Network: network, About: about, Message: fmt.Sprintf(format, args...)})
}

// network looks at what a network names: subnets and groups of one VPC; and tries
// to make a NIC in each subnet.
func (c *checking) network(n nic.Network) {
	vpcs := map[string]bool{}
	all, err := c.p.nets.Ask(c.ctx, n.Cloud.Subnets...)
	if err != nil {
		c.add(provider.Unknown, n.Name, "subnets", "%s", err)
	}
	for _, id := range n.Cloud.Subnets {
		s, ok := all[id]
		switch {
		case err != nil:
		case !ok:
			c.add(provider.Bad, n.Name, "subnet "+id, "there is none: is it of this region and account?")
		case s.Free == 0:
			c.add(provider.Bad, n.Name, "subnet "+id, "in zone %s no address is free", s.Zone)
		default:
			c.add(provider.Good, n.Name, "subnet "+id, "in zone %s, %d addresses are free", s.Zone, s.Free)
		}
		if ok {
			vpcs[s.VPC] = true
			c.create(n, id)
		}
	}
	if len(vpcs) > 1 {
		c.add(provider.Bad, n.Name, "subnets", "are of %d VPCs; want one, as NICs have the same groups everywhere", len(vpcs))
	}
	c.groups(n, vpcs)
	c.floating(n)
}

// create tries to make a NIC as the network's are, in the subnet.
func (c *checking) create(n nic.Network, subnet string) {
	spec := nic.Spec{NIC: nic.NewID(), Network: n.Name, Cloud: n.Cloud.Spec()}
	spec.Cloud.Subnet = subnet
	f := c.p.cloud.TryCreate(c.ctx, c.p.wanted(spec))
	f.Network = n.Name
	c.found = append(c.found, f)
}

func (c *checking) groups(n nic.Network, vpcs map[string]bool) {
	t, ids := c.p.traits, n.Cloud.Groups
	if len(ids) > t.Groups {
		c.add(provider.Unknown, n.Name, "quota", "%d groups of each NIC: %s", len(ids), t.MoreGroups)
	}
	if len(ids) == 0 {
		return
	}
	all, err := c.p.cloud.Groups(c.ctx, ids)
	if err != nil {
		c.add(provider.Unknown, n.Name, "groups", "%s", err)
		return
	}
	for _, id := range ids {
		vpc, ok := all[id]
		switch {
		case !ok:
			c.add(provider.Bad, n.Name, "group "+id, "there is none: is it of this region and account?")
		case len(vpcs) > 0 && !vpcs[vpc]:
			c.add(provider.Bad, n.Name, "group "+id, "is of VPC %s, and the subnets are not", vpc)
		default:
			c.add(provider.Good, n.Name, "group "+id, "")
		}
	}
}

// floating looks at the addresses that the network's NICs may have: without one of them no
// NIC is made.
func (c *checking) floating(n nic.Network) {
	floater, ok := c.p.cloud.(Floater)
	if !ok || len(n.Cloud.Floating) == 0 {
		return
	}
	all, err := floater.Floating(c.ctx, n.Cloud.Floating)
	for _, id := range n.Cloud.Floating {
		_, there := all[id]
		switch about := "floating address " + id; {
		case errors.Is(err, provider.ErrDenied):
			c.add(provider.Bad, n.Name, about, "%s", err)
		case err != nil:
			c.add(provider.Unknown, n.Name, about, "%s", err)
		case !there:
			c.add(provider.Bad, n.Name, about, "there is none: is it of this region and account, and may it be described?")
		default:
			c.add(provider.Good, n.Name, about, "")
		}
	}
}

// ours tries on a NIC of ours what is done to NICs, and whether it may be given addresses
// where these move.
func (c *checking) ours(moves bool) {
	p, ctx := c.p, c.ctx
	byNIC, err := p.all(ctx)
	if err != nil {
		c.add(provider.Unknown, "", "NICs", "%s", err)
		return
	}
	var some *Interface
	var at subnet
	for _, twins := range byNIC {
		some = &twins[0]
		break
	}
	if some != nil && moves {
		if at, err = p.subnetOf(ctx, some.Subnet); err != nil {
			c.add(provider.Unknown, "", "subnet "+some.Subnet, "%s", err)
		}
	}
	c.found = append(c.found, p.cloud.TryChanges(ctx, some, at.Subnet, moves)...)
}
