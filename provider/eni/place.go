package eni

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Place implements provider.Placer: it picks a subnet in the zone of the node's
// instance.
func (p *Provider) Place(ctx context.Context, spec nic.Spec, node nic.Node) (nic.Spec, error) {
	fail := p.failing("place", spec.NIC)
	instance, ok := node.Instances[p.opts.Name]
	if !ok {
		return nic.Spec{}, fail(provider.Errorf(provider.ErrInvalid, "node %s has no instance at this provider", node.Name))
	}
	zone, err := p.zoneOf(ctx, instance)
	if err != nil {
		return nic.Spec{}, fail(err)
	}
	c := spec.Cloud
	if c.Subnet != "" {
		s, err := p.subnetOf(ctx, c.Subnet)
		if err != nil {
			return nic.Spec{}, fail(err)
		}
		if s.Zone != zone {
			return nic.Spec{}, fail(provider.Errorf(provider.ErrInvalid, "subnet %s is in zone %s, and node %s in %s: an interface stays in its zone", s.ID, s.Zone, node.Name, zone))
		}
	} else {
		s, err := p.pick(ctx, c, spec.Addrs, zone)
		if err != nil {
			return nic.Spec{}, fail(err)
		}
		c.Subnet = s.ID
		p.recent.placed(spec.NIC)
	}
	c.Zone, c.Subnets, c.Pick = zone, nil, nic.PickMostFree
	spec.Cloud, spec.Node = c, node.Name
	return spec, nil
}

// pick is one of the subnets in the zone that has the addresses and is not full.
func (p *Provider) pick(ctx context.Context, c nic.CloudSpec, addrs []netip.Addr, zone string) (subnet, error) {
	all, err := p.counted(ctx, c.Subnets)
	if err != nil {
		return subnet{}, err
	}
	var here, fit, open []subnet
	wait := time.Duration(0)
	for _, id := range c.Subnets {
		s, ok := all[id]
		if !ok {
			return subnet{}, noSubnet(id)
		}
		if s.Zone != zone {
			continue
		}
		here = append(here, s)
		if slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !s.contains(a) }) {
			continue
		}
		fit = append(fit, s)
		left := p.full.blocked(id)
		if left == 0 && (s.Free > c.Secondary || len(addrs) > 0) { // a reserved address is not counted as free
			open = append(open, s)
		}
		wait = max(wait, left)
	}
	switch {
	case len(here) == 0:
		return subnet{}, provider.Errorf(provider.ErrInvalid, "none of the network's subnets (%s) is in zone %s, where the node is", strings.Join(c.Subnets, ", "), zone)
	case len(fit) == 0:
		return subnet{}, provider.Errorf(provider.ErrInvalid, "no subnet in zone %s has the addresses %v", zone, addrs)
	case len(open) == 0:
		return subnet{}, &provider.Error{
			Kind: provider.ErrExhausted, Scope: provider.ScopeSubnet, RetryAfter: wait,
			Err: fmt.Errorf("no address is free in the subnets of zone %s: %s", zone, names(fit)),
		}
	}
	return choice(open, c.Pick), nil
}

func choice(open []subnet, pick nic.SubnetPick) subnet {
	switch pick {
	case nic.PickOrdered:
		return open[0]
	case nic.PickRandom:
		return open[rand.N(len(open))]
	}
	return slices.MaxFunc(open, func(a, b subnet) int { return cmp.Compare(a.Free, b.Free) })
}

func names(all []subnet) string {
	var b strings.Builder
	for i, s := range all {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.ID)
	}
	return b.String()
}

// counted returns the subnets with how many addresses are free, not much longer
// ago than countKept.
func (p *Provider) counted(ctx context.Context, ids []string) (map[string]subnet, error) {
	all := map[string]subnet{}
	for _, id := range ids {
		s, ok := p.subnets.Get(id)
		if !ok || time.Since(s.by) > countKept {
			return p.nets.Ask(ctx, ids...)
		}
		all[id] = s
	}
	return all, nil
}

// spend counts down what is free of a subnet between two looks, so that a burst
// spreads over the subnets.
func (p *Provider) spend(id string, addrs int) {
	if s, ok := p.subnets.Get(id); ok && s.Free > 0 {
		s.Free = max(0, s.Free-addrs)
		p.subnets.Put(id, s)
	}
}
