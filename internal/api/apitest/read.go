package apitest

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// Claims pages by id.
func (b *Backend) Claims(_ context.Context, after nic.ClaimID, limit int) ([]api.ClaimView, error) {
	leave, err := b.enter("Claims")
	defer leave()
	return page(b.claims, after, limit), err
}

// Claim finds one.
func (b *Backend) Claim(_ context.Context, id nic.ClaimID) (api.ClaimView, error) {
	leave, err := b.enter("Claim")
	defer leave()
	return find(b.claims, id, "claim", err)
}

// NICs pages by id.
func (b *Backend) NICs(_ context.Context, after nic.ID, limit int) ([]api.NICView, error) {
	leave, err := b.enter("NICs")
	defer leave()
	return page(b.nics, after, limit), err
}

// NIC finds one.
func (b *Backend) NIC(_ context.Context, id nic.ID) (api.NICView, error) {
	leave, err := b.enter("NIC")
	defer leave()
	return find(b.nics, id, "NIC", err)
}

// Nodes returns all.
func (b *Backend) Nodes(context.Context) ([]nic.Node, error) {
	leave, err := b.enter("Nodes")
	defer leave()
	return sorted(b.nodes), err
}

// Node finds one.
func (b *Backend) Node(_ context.Context, name string) (nic.Node, error) {
	leave, err := b.enter("Node")
	defer leave()
	return find(b.nodes, name, "node", err)
}

// Networks returns all.
func (b *Backend) Networks(context.Context) ([]api.NetworkView, error) {
	leave, err := b.enter("Networks")
	defer leave()
	return sorted(b.networks), err
}

// Network finds one.
func (b *Backend) Network(_ context.Context, name string) (api.NetworkView, error) {
	leave, err := b.enter("Network")
	defer leave()
	return find(b.networks, name, "network", err)
}

// PlanNetwork is of one machine, that of the type or node1, with room for two more.
func (b *Backend) PlanNetwork(_ context.Context, name, kind string) (api.NetworkPlan, error) {
	leave, err := b.enter("PlanNetwork")
	defer leave()
	n, err := find(b.networks, name, "network", err)
	if err != nil {
		return api.NetworkPlan{}, err
	}
	m := api.MachinePlan{Type: kind, Bounds: []api.Bound{{What: "slot", Room: 2}, {What: "address of the network", Room: 100}}}
	if kind == "" {
		m.Node, m.Instance, m.Held = "node1", "vm1", 1
	}
	return api.NetworkPlan{
		Network: n.Name, Provider: n.Provider, Kind: "local", Reserve: n.Pool, Machines: []api.MachinePlan{m.Bounded()}, Cold: []string{"create", "attach"},
	}, nil
}

// NodeRoom is room for two more NICs, and for seats on them.
func (b *Backend) NodeRoom(_ context.Context, name string) ([]api.NodeRoom, error) {
	leave, err := b.enter("NodeRoom")
	defer leave()
	n, err := find(b.nodes, name, "node", err)
	if err != nil {
		return nil, err
	}
	return []api.NodeRoom{{
		Provider: "local", Instance: nic.InstanceID(n.Name), Slot: "slot", NICs: 4, Free: 2, Seats: &api.SeatRoom{Taken: 3, Free: 1, More: 4},
	}}, nil
}

func page[K cmp.Ordered, V any](m map[K]V, after K, limit int) []V {
	var values []V
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k > after && len(values) < limit {
			values = append(values, m[k])
		}
	}
	return values
}

func find[K ~string, V any](m map[K]V, key K, what string, err error) (V, error) {
	v, ok := m[key]
	if err == nil && !ok {
		err = missing(what, string(key))
	}
	return v, err
}
