package eni

import (
	"context"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// addrsOfPrefix is how many addresses of a subnet a delegated prefix takes.
const addrsOfPrefix = 16

// Plan implements provider.Planner. An instance's own interface takes one of its
// type's places.
func (p *Provider) Plan(ctx context.Context, spec nic.Spec, kind string) (provider.Plan, error) {
	fail := p.failing("plan", "")
	plan := provider.Plan{Calls: p.traits.Start(spec.Cloud)}
	if kind != "" {
		l, err := p.limitsOf(ctx, kind)
		if err != nil {
			return provider.Plan{}, fail(err)
		}
		plan.Fresh = provider.Limits{NICs: l.NICs, AddrsPerNIC: l.Addrs, Free: max(0, l.NICs-1), Slot: slotName}
		if spec.Cloud.Trunk {
			plan.Fresh = provider.Limits{NICs: l.Members, AddrsPerNIC: l.Addrs, Free: l.Members, Slot: memberName}
			if l.NICs < 2 { // the trunk is one of those
				plan.Fresh.Free = 0
			}
		}
	}
	all, err := p.counted(ctx, spec.Cloud.Subnets)
	if err != nil {
		return provider.Plan{}, fail(err)
	}
	room := 0
	for _, id := range spec.Cloud.Subnets {
		s, ok := all[id]
		if !ok {
			return provider.Plan{}, fail(noSubnet(id))
		}
		room += s.Free / (1 + spec.Cloud.Secondary + addrsOfPrefix*spec.Cloud.Prefixes)
	}
	plan.Bounds = []provider.Bound{{What: "free address in its subnets, of all zones", Room: room}}
	return plan, nil
}
