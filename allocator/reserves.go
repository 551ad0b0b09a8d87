package allocator

import (
	"slices"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/nic"
)

// reserves is what there is on one node for its pools to decide about.
type reserves struct {
	networks []pool.Network
	items    []pool.Item
	// counted are the items that their provider counts as plugged in, and maybe
	// those of which we cannot know: it may be plugging them in this moment.
	counted, maybe map[pool.Machine]int
	served         map[nic.ClaimID]bool // claims that have an item
}

func (r reserves) of(network string) pool.Network {
	at := slices.IndexFunc(r.networks, func(n pool.Network) bool { return n.Name == network })
	return r.networks[at]
}

// reserves reads NICs of a node.
func (a *Allocator) reserves(e *edit, name string, ids []nic.ID) (reserves, error) {
	r := reserves{counted: map[pool.Machine]int{}, maybe: map[pool.Machine]int{}, served: map[nic.ClaimID]bool{}}
	node, _, _, err := peek[nic.Node](e, nodeKey(name))
	if err != nil {
		return r, err
	}
	node.Name = name
	for _, n := range a.networks {
		r.networks = append(r.networks, pool.Network{
			Name: n.Name, Pool: n.Pool, Paused: a.spares.pausedFor(name, n.Name) > 0,
			Machine: machineFor(n, node),
		})
	}
	for _, id := range ids {
		n, _, found, err := peek[nic.NIC](e, nicKey(id))
		if err != nil {
			return r, err
		}
		if !found {
			continue
		}
		if n.Carrier != "" { // it takes no slot
			if stateOf(n) == pool.Held {
				r.served[n.Holder] = true
			}
			continue
		}
		it := pool.Item{
			ID: n.ID, Network: n.Network, Machine: machineOf(n), Tenant: n.Tenant, New: n.Tenant == "" && n.Turn == 0, MAC: n.Spec.MAC,
			State: stateOf(n), Since: n.Since,
		}
		if network, ok := a.networks[n.Network]; ok {
			it.Stale = staleFor(n, network, instanceOf(node, network.Provider))
		}
		if it.State == pool.Spare || it.State == pool.Cooling {
			o, _, _, err := peek[nic.Observed](e, observedKey(n.ID))
			if err != nil {
				return r, err
			}
			it.Ready = o.State == nic.ObservedMade && o.Turn == n.Turn
		}
		switch n.Seen.State {
		case nic.StateAttaching, nic.StateAttached, nic.StateDetaching:
			r.counted[it.Machine]++
		case nic.StateCreating, nic.StateAvailable:
			r.maybe[it.Machine]++
		}
		if it.State == pool.Held {
			r.served[n.Holder] = true
		}
		r.items = append(r.items, it)
	}
	return r, nil
}
