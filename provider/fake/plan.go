package fake

import (
	"context"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// OpPlan is the op of Plan.
const OpPlan = "plan"

// Plan implements provider.Planner.
func (p *Provider) Plan(ctx context.Context, spec nic.Spec, kind string) (plan provider.Plan, err error) {
	err = p.call(ctx, Call{Op: OpPlan}, func(now time.Time) (bool, error) {
		plan = provider.Plan{Calls: []string{OpCreate, OpAttach}}
		if n, ok := p.opts.Types[kind]; ok {
			plan.Fresh = provider.Limits{NICs: n, AddrsPerNIC: p.opts.AddrsPerNIC, Free: n, Slot: p.opts.Slot}
		} else if kind != "" {
			return false, invalid("there is no type %q", kind)
		}
		room := 0
		for _, id := range spec.Cloud.Subnets {
			if s, ok := p.subnet(id); ok {
				room += p.free(s, now)
			}
		}
		if len(spec.Cloud.Subnets) > 0 {
			plan.Bounds = []provider.Bound{{What: "free address in its subnets", Room: room}}
		}
		return false, nil
	})
	return plan, err
}

var _ provider.Planner = (*Provider)(nil)
