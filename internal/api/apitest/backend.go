// Package apitest is an in-memory backend that behaves, for tests of what
// talks to the API.
package apitest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// A Backend keeps claims, NICs, nodes and networks in memory. A claim gets its
// NIC at once. Every write is a revision, which wakes the waiting nodes.
type Backend struct {
	mu       sync.Mutex
	revision uint64
	moved    chan struct{} // closed and replaced with every revision
	claims   map[nic.ClaimID]api.ClaimView
	nics     map[nic.ID]api.NICView
	nodes    map[string]nic.Node
	networks map[string]api.NetworkView
	faults   map[string]error
	findings []api.Finding
	troubles []nic.Condition
}

// New makes an empty backend with the given networks.
func New(networks ...nic.Network) *Backend {
	b := &Backend{
		revision: 1,
		moved:    make(chan struct{}),
		claims:   map[nic.ClaimID]api.ClaimView{},
		nics:     map[nic.ID]api.NICView{},
		nodes:    map[string]nic.Node{},
		networks: map[string]api.NetworkView{},
		faults:   map[string]error{},
	}
	for _, n := range networks {
		b.networks[n.Name] = api.NetworkView{Network: n}
	}
	return b
}

// Fail makes the next call of the method of that name return err, or panic
// with it if err is a Panic.
func (b *Backend) Fail(method string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults[method] = err
}

// Panic is an error that Fail turns into a panic.
type Panic string

// Error is the text itself.
func (p Panic) Error() string { return string(p) }

// Touch is a revision without any other change.
func (b *Backend) Touch() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.commit()
}

// PutClaim stores a claim as it is.
func (b *Backend) PutClaim(c api.ClaimView) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.claims[c.ID] = c
	b.commit()
}

// PutNIC stores a NIC as it is.
func (b *Backend) PutNIC(n api.NICView) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nics[n.ID] = n
	b.commit()
}

// PutNode stores a node as it is.
func (b *Backend) PutNode(n nic.Node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes[n.Name] = n
	b.commit()
}

// PutNetwork stores a network as it is.
func (b *Backend) PutNetwork(n api.NetworkView) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.networks[n.Name] = n
	b.commit()
}

// commit counts a revision and wakes who waits; the caller holds the lock.
func (b *Backend) commit() uint64 {
	b.revision++
	close(b.moved)
	b.moved = make(chan struct{})
	return b.revision
}

// enter locks, and takes the fault that is planted for the method.
func (b *Backend) enter(method string) (leave func(), err error) {
	b.mu.Lock()
	err = b.faults[method]
	delete(b.faults, method)
	if p, ok := err.(Panic); ok {
		b.mu.Unlock()
		panic(p)
	}
	return b.mu.Unlock, err
}

// Acquire is idempotent on owner. A request with faults, or for a network that
// is not there, becomes a refused claim.
func (b *Backend) Acquire(ctx context.Context, owner nic.Owner, container string, request nic.Request) (nic.Claim, error) {
	leave, err := b.enter("Acquire")
	defer leave()
	if err != nil {
		return nic.Claim{}, err
	}
	if err := b.fence(ctx, owner.Node); err != nil {
		return nic.Claim{}, err
	}
	for _, c := range b.claims {
		if c.Owner == owner {
			return c.Claim, nil
		}
	}
	now := time.Now().UTC()
	claim := nic.Claim{
		Schema: nic.Schema, ID: nic.NewClaimID(), Tenant: "default", Owner: owner, Container: container,
		Request: request, Phase: nic.ClaimReady, Epoch: 1, Identity: nic.Identity{MAC: nic.NewMAC()}, Created: now, Since: now,
	}
	if _, ok := b.networks[request.Network]; !ok {
		claim.Phase = nic.ClaimRefused
		claim.Conditions = []nic.Condition{{Reason: nic.ReasonUnknownNetwork, Message: "no such network", Since: now}}
	} else {
		claim.NIC = b.makeNIC(claim, now)
	}
	b.claims[claim.ID] = api.ClaimView{Claim: claim}
	b.commit()
	return claim, nil
}

func (b *Backend) makeNIC(c nic.Claim, now time.Time) nic.ID {
	id := nic.NewID()
	b.nics[id] = api.NICView{NIC: nic.NIC{
		Schema: nic.Schema, ID: id, Tenant: c.Tenant, Network: c.Request.Network, Provider: "local", Node: c.Owner.Node,
		Instance: nic.InstanceID(c.Owner.Node), Phase: nic.PhaseHeld, Holder: c.ID, Created: now, Since: now,
		Seen: nic.Seen{NIC: id, State: nic.StateAttached, MAC: c.Identity.MAC, Device: nic.Device{Kind: nic.Veth, MAC: c.Identity.MAC}},
	}}
	return id
}

// Release drops the claim and its NIC. Gone: nil. An older epoch: a conflict.
func (b *Backend) Release(ctx context.Context, id nic.ClaimID, epoch uint64) error {
	leave, err := b.enter("Release")
	defer leave()
	if err != nil {
		return err
	}
	c, ok := b.claims[id]
	if !ok {
		return nil
	}
	if epoch < c.Epoch {
		return &api.Error{Code: api.CodeConflict, Message: fmt.Sprintf("release %s: epoch %d is older than %d", id, epoch, c.Epoch)}
	}
	if err := b.fence(ctx, c.Owner.Node); err != nil {
		return err
	}
	delete(b.nics, c.NIC)
	delete(b.claims, id)
	b.commit()
	return nil
}

// Hello numbers the session.
func (b *Backend) Hello(_ context.Context, node string, inventory nic.Inventory) (nic.Node, error) {
	leave, err := b.enter("Hello")
	defer leave()
	if err != nil {
		return nic.Node{}, err
	}
	n := b.nodes[node]
	n = nic.Node{
		Schema: nic.Schema, Name: node, Instances: n.Instances, Phase: nic.NodeReady,
		Session: n.Session + 1, Inventory: inventory, LastSeen: time.Now().UTC(),
	}
	b.nodes[node] = n
	b.commit()
	return n, nil
}

// Report files each observation with its NIC and claim. A stale session is a
// conflict.
func (b *Backend) Report(ctx context.Context, node string, report nic.NodeReport) error {
	leave, err := b.enter("Report")
	defer leave()
	if err != nil {
		return err
	}
	n, ok := b.nodes[node]
	if !ok {
		return missing("node", node)
	}
	if report.Session != n.Session {
		return over(n, report.Session)
	}
	if err := b.fence(ctx, node); err != nil {
		return err
	}
	if report.Cards != nil {
		n.Inventory.Cards = *report.Cards
		b.nodes[node] = n
	}
	for _, o := range report.NICs {
		if v, ok := b.nics[o.NIC]; ok {
			v.Observed = &o
			b.nics[o.NIC] = v
		}
		if c, ok := b.claims[o.Claim]; ok {
			c.Observed = &o
			b.claims[o.Claim] = c
		}
	}
	b.commit()
	return nil
}

// fence is a conflict for a caller with an older session than the node's; the
// caller holds the lock.
func (b *Backend) fence(ctx context.Context, node string) error {
	n, ok := b.nodes[node]
	if session := api.SessionOf(ctx); ok && session != 0 && session != n.Session {
		return over(n, session)
	}
	return nil
}

func over(n nic.Node, session uint64) error {
	return &api.Error{Code: api.CodeConflict, Message: fmt.Sprintf("session %d of node %s is over", session, n.Name)}
}

// Wanted returns the node's NICs. A stale session is a conflict.
func (b *Backend) Wanted(ctx context.Context, node string, session uint64) ([]nic.Wanted, uint64, error) {
	leave, err := b.enter("Wanted")
	defer leave()
	if err != nil {
		return nil, 0, err
	}
	n, ok := b.nodes[node]
	if !ok {
		return nil, 0, missing("node", node)
	}
	if session != 0 && session != n.Session {
		return nil, 0, over(n, session)
	}
	if err := b.fence(ctx, node); err != nil {
		return nil, 0, err
	}
	var wanted []nic.Wanted
	for _, n := range sorted(b.nics) {
		if n.Node == node {
			c := b.claims[n.Holder]
			wanted = append(wanted, nic.Wanted{
				NIC: n.ID, Device: n.Seen.Device, Claim: n.Holder, Epoch: c.Epoch, Owner: c.Owner, Network: n.Network,
				Layer3: nic.Layer3{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.7/24")}, DefaultRoute: true},
			})
		}
	}
	return wanted, b.revision, nil
}

// WaitChange waits for any revision: a node may be woken without need.
func (b *Backend) WaitChange(ctx context.Context, node string, after uint64) (uint64, error) {
	for {
		leave, err := b.enter("WaitChange")
		err = cmp.Or(err, b.fence(ctx, node))
		revision, moved := b.revision, b.moved
		leave()
		if err != nil {
			return 0, err
		}
		if revision != after {
			return revision, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func missing(what, name string) error {
	return fmt.Errorf("no %s %q: %w", what, name, store.ErrNotFound)
}

// sorted returns a map's values in key order.
func sorted[K cmp.Ordered, V any](m map[K]V) []V {
	values := make([]V, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		values = append(values, m[k])
	}
	return values
}
