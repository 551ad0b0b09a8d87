package allocator

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/gate"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// PlanNetwork says how many containers each node can hold on a network, or an
// instance of the type that is named. No such network: ErrNotFound; no such type, or
// a provider that knows none: ErrInvalid.
func (a *Allocator) PlanNetwork(ctx context.Context, name, kind string) (api.NetworkPlan, error) {
	network, ok := a.networks[name]
	if !ok {
		return api.NetworkPlan{}, fmt.Errorf("network %q: %w", name, ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, askAllWithin)
	defer cancel()
	p := a.opts.Providers[network.Provider]
	plan := api.NetworkPlan{
		Network: name, Provider: network.Provider, Kind: p.Info().Kind, Reserve: network.Pool, Shared: network.Cloud.Shared,
		Machines: []api.MachinePlan{}, Cold: []string{opCreate, opAttach},
	}
	said := provider.Plan{}
	planner, plans := provider.As[provider.Planner](p)
	switch {
	case plans:
		spec := a.newNIC(network, nic.Node{}, "", nic.MAC{}).Spec
		if network.Cloud.Movable && !network.Cloud.Shared { // each NIC has an address of its own besides
			spec.Cloud.Secondary = 1
		}
		var err error
		if said, err = planner.Plan(ctx, spec, kind); err != nil {
			return plan, fmt.Errorf("plan network %s: %w", name, err)
		}
		plan.Cold = said.Calls
	case kind != "":
		return plan, fmt.Errorf("%w: provider %s of kind %s knows no types of machines; leave the type out", ErrInvalid, network.Provider, plan.Kind)
	}
	shared, err := a.sharedBounds(ctx, network, said.Bounds)
	if err != nil {
		return plan, err
	}
	if kind != "" {
		fresh := api.MachinePlan{Type: kind, Bounds: bounds(network, said.Fresh, 0, shared)}
		plan.Machines = append(plan.Machines, fresh.Bounded())
		return plan, nil
	}
	plan.Machines, err = a.planNodes(ctx, network, shared)
	return plan, err
}

// sharedBounds are those of all machines together: the network's addresses, and what
// the provider says.
func (a *Allocator) sharedBounds(ctx context.Context, network nic.Network, said []provider.Bound) ([]api.Bound, error) {
	var all []api.Bound
	for _, b := range said {
		all = append(all, api.Bound(b))
	}
	free, err := a.free(ctx, network)
	if free != nil {
		all = append(all, api.Bound{What: "address of the network", Room: *free})
	}
	return all, err
}

// bounds are what bounds one machine, and all of them: its slots, with what is ready
// there. Where containers share NICs, ready are seats; each slot is for as many as a
// NIC has addresses besides its first, all of which it takes at once.
func bounds(network nic.Network, l provider.Limits, ready int, shared []api.Bound) []api.Bound {
	slot := cmp.Or(l.Slot, "slot")
	if !network.Cloud.Shared {
		return append([]api.Bound{{What: slot, Room: max(0, l.Free) + ready}}, shared...)
	}
	seats := max(0, l.AddrsPerNIC-1)
	all := []api.Bound{{What: "seat on its " + slot + "s", Room: max(0, l.Free)*seats + ready}}
	for _, b := range shared {
		all = append(all, api.Bound{What: b.What, Room: b.Room/max(1, l.AddrsPerNIC)*seats + ready})
	}
	return all
}

// planNodes asks for each node, several at a time.
func (a *Allocator) planNodes(ctx context.Context, network nic.Network, shared []api.Bound) ([]api.MachinePlan, error) {
	nodes, err := a.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	nics, _, err := store.ListJSON[nic.NIC](ctx, a.opts.Store, nicPrefix, "", 0)
	if err != nil {
		return nil, err
	}
	held, ready := map[string]int{}, map[string]int{}
	for _, r := range nics {
		switch n := r.Value; {
		case n.Network != network.Name:
		case n.Carries: // all seats that can be had there, as far as they are known
			ready[n.Node] += freeSeats(n)
		case n.Holder != "":
			held[n.Node]++
		case inReserve(n):
			ready[n.Node]++
		}
	}
	machines := make([]api.MachinePlan, len(nodes))
	asking := gate.New(askedAtOnce)
	var wg sync.WaitGroup
	for i, node := range nodes {
		wg.Go(func() {
			m := api.MachinePlan{Node: node.Name, Instance: instanceOf(node, network.Provider), Held: held[node.Name]}
			at := machineFor(network, node)
			err := asking.Pass(func() error {
				limits, err := a.limits(ctx, at)
				limits.Free -= len(a.slots.on(at))
				m.Bounds = bounds(network, limits, ready[node.Name], shared)
				return err
			})
			if m = m.Bounded(); err != nil {
				m.Bounds, m.Holds, m.First, m.Problem = nil, m.Held, "", err.Error()
			}
			machines[i] = m
		})
	}
	wg.Wait()
	return machines, nil
}

// inReserve says whether a NIC is ready, or getting ready, for the next container.
func inReserve(n nic.NIC) bool {
	switch stateOf(n) {
	case pool.Making, pool.Spare, pool.Cooling:
		return n.Seen.State != "" // one that has no slot yet is counted by that
	}
	return false
}
