// Package local is the provider of NICs that a node makes itself: one end of a
// veth on a bridge, or a macvlan child. It has no world to ask. What it was
// told is in its ledger, and what became of it is what the nodes report.
package local

import (
	"cmp"
	"context"
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
}

// New returns a provider, or an error that names a missing option.
func New(o Options) (*Provider, error) {
	p := &Provider{name: o.Name, slots: cmp.Or(o.NICsPerNode, defaultNICsPerNode)}
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
// node has reported the NIC clean.
func (p *Provider) Limits(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	fail := p.Failing("limits", "")
	if _, err := p.Node(ctx, instance, provider.ErrNotFound); err != nil {
		return provider.Limits{}, fail(err)
	}
	used, err := p.used(ctx, instance)
	if err != nil {
		return provider.Limits{}, fail(err)
	}
	return provider.Limits{NICs: p.slots, AddrsPerNIC: made.AddrsPerNIC, Free: max(0, p.slots-used)}, nil
}

// used counts the NICs that hold a slot on the instance.
func (p *Provider) used(ctx context.Context, instance nic.InstanceID) (int, error) {
	all, err := p.Log().ReadAll(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, h := range all {
		if !h.Known || h.Last.Place.Instance != instance {
			continue
		}
		state, err := p.State(ctx, *h)
		if err != nil {
			return 0, err
		}
		if state == nic.StateAttached || state == nic.StateDetaching {
			n++
		}
	}
	return n, nil
}

// room refuses a node that is full.
func (p *Provider) room(ctx context.Context, _ nic.Spec, at nic.Place) error {
	used, err := p.used(ctx, at.Instance)
	if err != nil {
		return err
	}
	if used >= p.slots {
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
)
