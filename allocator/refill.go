package allocator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// poolRoot is the root of the queue's keys for the reserves of the nodes. They
// are no records'.
const poolRoot = "pool/"

// A spare that comes to nothing keeps its network from the next on that node
// for spareGap, and each further one for twice as long, up to spareGapMax. What
// has no room is looked at again after roomAgain: slots are freed by others too.
const (
	spareGap    = 5 * time.Second
	spareGapMax = time.Hour
	roomAgain   = time.Minute
)

// refill brings the reserves of one node to where they should be. It decides
// for the whole node at once, and one at a time.
func (a *Allocator) refill(ctx context.Context, name string) (time.Duration, error) {
	e := a.reader(ctx)
	// Before and after the NICs, so that none is missed that is served or refused
	// in between.
	before, err := a.waitingForSlots(e, name)
	if err != nil {
		return 0, err
	}
	ids, err := idsOn(e, name)
	if err != nil {
		return 0, err
	}
	r, err := a.reserves(e, name, ids)
	if err != nil {
		return 0, err
	}
	demand, err := a.waitingForSlots(e, name)
	if err != nil {
		return 0, err
	}
	for _, d := range before {
		if !slices.ContainsFunc(demand, func(x pool.Demand) bool { return x.Claim == d.Claim }) {
			demand = append(demand, d)
		}
	}
	demand = slices.DeleteFunc(demand, func(d pool.Demand) bool { return r.served[d.Claim] })
	node, _, found, err := get[nic.Node](e, nodeKey(name))
	if err != nil {
		return 0, err
	}
	if !found || a.withLife(node).Phase != nic.NodeReady {
		for i := range r.networks {
			r.networks[i].Paused = true
		}
	}
	now := a.now()
	plan := pool.Decide(now, plenty(r.networks), r.networks, r.items, demand)
	if len(demand) > 0 || len(plan.Create) > 0 { // only then does it matter how much room there is
		capacity, err := a.capacity(ctx, r)
		if err != nil { // what is given back serves others all the same
			plan.Create = nil
			return 0, errors.Join(err, a.carryOut(ctx, plan, name))
		}
		careful := pool.Decide(now, capacity, r.networks, r.items, demand)
		for m, maybe := range r.maybe {
			capacity[m] += maybe
		}
		plan = pool.Decide(now, capacity, r.networks, r.items, demand) // nothing goes for room that there may be
		plan.Create, plan.Missing = careful.Create, careful.Missing
	}
	if err := a.carryOut(ctx, plan, name); err != nil {
		return 0, fmt.Errorf("bring the spare NICs of node %s to what its pools want: %w", name, err)
	}
	var again time.Duration
	if plan.Missing > 0 || slices.ContainsFunc(r.networks, func(n pool.Network) bool { return n.Paused && n.Pool.Min > 0 }) {
		again = roomAgain
	}
	if !plan.Again.IsZero() {
		again = shorter(again, max(a.until(plan.Again), time.Millisecond))
	}
	for _, n := range r.networks {
		again = shorter(again, a.spares.pausedFor(name, n.Name))
	}
	return again, nil
}

func (a *Allocator) carryOut(ctx context.Context, plan pool.Plan, node string) error {
	var errs []error
	for _, id := range plan.Keep {
		errs = append(errs, a.cool(ctx, id))
	}
	for _, r := range plan.Retire {
		errs = append(errs, a.shed(ctx, r))
	}
	for _, network := range plan.Create {
		errs = append(errs, a.makeSpare(ctx, a.networks[network], node))
	}
	if len(plan.Give) > 0 {
		a.queue.Wake(refusedKey) // which asks for them again
	}
	return errors.Join(errs...)
}

// plenty is more room than anybody needs.
func plenty(networks []pool.Network) map[pool.Machine]int {
	all := map[pool.Machine]int{}
	for _, n := range networks {
		all[n.Machine] = 1 << 20
	}
	return all
}

// capacity is how many NICs of ours each machine of a node can hold: what is
// free, and what we have.
func (a *Allocator) capacity(ctx context.Context, r reserves) (map[pool.Machine]int, error) {
	all := map[pool.Machine]int{}
	for _, n := range r.networks {
		if _, asked := all[n.Machine]; asked {
			continue
		}
		limits, err := a.limits(ctx, n.Machine)
		switch {
		case errors.Is(err, provider.ErrNotFound) || errors.Is(err, provider.ErrInvalid):
			all[n.Machine] = 0 // the node is none of the provider's
		case err != nil:
			return nil, err
		default:
			all[n.Machine] = limits.Free + r.counted[n.Machine]
		}
	}
	return all, nil
}

// waitingForSlots are the node's claims that were refused for want of a slot.
func (a *Allocator) waitingForSlots(e *edit, node string) ([]pool.Demand, error) {
	claims, err := claimsOn(e, node, nil)
	if err != nil {
		return nil, err
	}
	var demand []pool.Demand
	for _, r := range claims {
		c := r.Value
		alike := func(d pool.Demand) bool {
			return d.Network == c.Request.Network && nic.TenantOf(d.Tenant) == nic.TenantOf(c.Tenant)
		}
		if a.networks[c.Request.Network].Cloud.Shared && slices.ContainsFunc(demand, alike) {
			continue // one NIC does for many of them
		}
		if c.Phase == nic.ClaimRefused && a.lacksSlot(c) && a.mayGrant(c) {
			demand = append(demand, pool.Demand{
				Claim: c.ID, Network: c.Request.Network, Tenant: c.Tenant, MAC: c.Identity.MAC, Ahead: c.Request.Unstarted,
			})
		}
	}
	return demand, nil
}

// wakePools has the pools of changed nodes decided anew.
func (a *Allocator) wakePools(events []store.Event) {
	for _, e := range events {
		if node := a.spares.see(e); node != "" && a.pooled() {
			a.queue.Wake(poolRoot + node)
		}
	}
	a.spares.reached(events[len(events)-1].Rev)
}

// pooled says whether any network has a pool.
func (a *Allocator) pooled() bool {
	for _, n := range a.networks {
		if n.Pool.Max > 0 {
			return true
		}
	}
	return false
}
