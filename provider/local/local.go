// Package local is the provider of NICs that a node makes itself: one end of a
// veth on a bridge, or a macvlan child. It has no world to ask. What it was
// told is in its ledger, and what became of it is what the nodes report.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/made"
)

// Kind is the driver's name in the config.
const Kind = "local"

const defaultNICsPerNode = 128

// Options configure a local provider.
type Options struct {
	// Name is the configured name; required.
	Name string
	// Ledger is this provider's own; required.
	Ledger provider.Ledger
	// Nodes are asked whether a NIC has left its node; required.
	Nodes provider.Nodes
	// NICsPerNode is how many NICs one node holds; optional, default 128.
	NICsPerNode int
}

// A Provider is a local provider. Several on one ledger, as with two
// controllers, see and respect each other's work. Two leaders at once may exceed
// the limit, which is only a guard against leaks here.
type Provider struct {
	*made.NICs
	name  string
	slots int
	taken *slots
}

// New returns a provider, or an error that names a missing option.
func New(o Options) (*Provider, error) {
	p := &Provider{name: o.Name, slots: cmp.Or(o.NICsPerNode, defaultNICsPerNode), taken: newSlots()}
	base := made.Options{Name: o.Name, Ledger: o.Ledger, Nodes: o.Nodes, Shape: checkShape, Room: p.room}
	faults := base.Check()
	if o.NICsPerNode < 0 {
		faults.Add("nicsPerNode", "is %d: want 1 or more, or 0 for %d", o.NICsPerNode, defaultNICsPerNode)
	}
	if err := faults.Err(); err != nil {
		return nil, fmt.Errorf("make local provider: %w", err)
	}
	p.NICs = made.New(base)
	return p, nil
}

// Info implements provider.Provider.
func (p *Provider) Info() provider.Info {
	return provider.Info{Name: p.name, Kind: Kind, Travel: provider.Rebuild, WorstCall: made.WorstCall}
}

// Limits implements provider.Provider. A slot is taken from Attach until the
// node has reported the NIC clean. It looks at every NIC that there is.
func (p *Provider) Limits(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	return p.limits(ctx, instance, p.slots+1)
}

// Room implements provider.Roomy.
func (p *Provider) Room(ctx context.Context, instance nic.InstanceID, want int) (provider.Limits, error) {
	return p.limits(ctx, instance, want)
}

// limits is what the instance has room for: as it is remembered, where that is enough
// for want.
func (p *Provider) limits(ctx context.Context, instance nic.InstanceID, want int) (provider.Limits, error) {
	fail := p.Failing("limits", "")
	if _, err := p.Node(ctx, instance, provider.ErrNotFound); err != nil {
		return provider.Limits{}, fail(err)
	}
	used, err := p.used(ctx, instance, want)
	if err != nil {
		return provider.Limits{}, fail(err)
	}
	return provider.Limits{NICs: p.slots, AddrsPerNIC: made.AddrsPerNIC, Free: max(0, p.slots-used)}, nil
}

// used counts the NICs that hold a slot on the instance. Where what is remembered
// leaves less room than is wanted, or is old, all NICs are looked at.
func (p *Provider) used(ctx context.Context, instance nic.InstanceID, want int) (int, error) {
	used, fresh := p.taken.used(instance)
	if fresh && used+want <= p.slots {
		return used, nil
	}
	if _, err := p.taken.look(ctx, p.Places); err != nil {
		return 0, err
	}
	used, _ = p.taken.used(instance)
	return used, nil
}

// List implements provider.Provider.
func (p *Provider) List(ctx context.Context) ([]nic.Seen, error) {
	return p.taken.look(ctx, p.NICs.List)
}

// Get implements provider.Provider.
func (p *Provider) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	got, err := p.NICs.Get(ctx, ids...)
	for _, seen := range got {
		p.taken.see(seen)
	}
	return got, err
}

// Attach implements provider.Provider.
func (p *Provider) Attach(ctx context.Context, id nic.ID, place nic.Place) (nic.Seen, error) {
	seen, err := p.NICs.Attach(ctx, id, place)
	if err == nil {
		p.taken.see(seen)
	}
	return seen, err
}

// Delete implements provider.Provider.
func (p *Provider) Delete(ctx context.Context, id nic.ID) error {
	err := p.NICs.Delete(ctx, id)
	if err == nil || errors.Is(err, provider.ErrNotFound) {
		p.taken.learn(id, "")
	}
	return err
}

// room refuses a node that is full, or takes one of its slots.
func (p *Provider) room(ctx context.Context, spec nic.Spec, at nic.Place) error {
	used, err := p.used(ctx, at.Instance, 1)
	if err != nil {
		return err
	}
	if !p.taken.take(spec.NIC, at.Instance, p.slots) {
		return &provider.Error{
			Kind: provider.ErrExhausted, Scope: provider.ScopeNode,
			Err: fmt.Errorf("%d of %d NICs are on node %s", used, p.slots, at.Node),
		}
	}
	return nil
}

var (
	_ provider.Provider = (*Provider)(nil)
	_ provider.Placer   = (*Provider)(nil)
	_ provider.Roomy    = (*Provider)(nil)
)
