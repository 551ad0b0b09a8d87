// Package local is the provider of NICs that a node makes itself: one end of a
// veth on a bridge, or a macvlan child. It has no world to ask. What it was
// told is in its ledger, and what became of it is what the nodes report.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// Kind is the driver's name in the config.
const Kind = "local"

const (
	defaultNICsPerNode = 128
	// addrsPerNIC is ours: the kernel has no limit.
	addrsPerNIC = 64
	// worstCall covers a few commits to a ledger on a slow disk.
	worstCall = 10 * time.Second
)

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
// controllers, see and respect each other's work.
type Provider struct {
	opts Options
	log  ledgerlog.Log
	// plugging is held from counting a node's slots to taking one. It does not
	// bind another controller: two leaders at once may exceed the limit, which
	// is only a guard against leaks here.
	plugging chan struct{}
}

// New returns a provider, or an error that names a missing option.
func New(o Options) (*Provider, error) {
	var faults nic.Faults
	faults.AddErr("name", nic.CheckName("provider", o.Name))
	if o.Ledger == nil {
		faults.Add("ledger", "is missing")
	}
	if o.Nodes == nil {
		faults.Add("nodes", "is missing")
	}
	if o.NICsPerNode < 0 {
		faults.Add("nicsPerNode", "is %d: want 1 or more, or 0 for %d", o.NICsPerNode, defaultNICsPerNode)
	}
	if err := faults.Err(); err != nil {
		return nil, fmt.Errorf("make local provider: %w", err)
	}
	o.NICsPerNode = cmp.Or(o.NICsPerNode, defaultNICsPerNode)
	return &Provider{opts: o, log: ledgerlog.Log{Ledger: o.Ledger}, plugging: make(chan struct{}, 1)}, nil
}

// Info implements provider.Provider.
func (p *Provider) Info() provider.Info {
	return provider.Info{Name: p.opts.Name, Kind: Kind, Travel: provider.Rebuild, WorstCall: worstCall}
}

// Limits implements provider.Provider. A slot is taken from Attach until the
// node has reported the NIC clean.
func (p *Provider) Limits(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	fail := p.failing("limits", "")
	if _, err := p.node(ctx, instance, provider.ErrNotFound); err != nil {
		return provider.Limits{}, fail(err)
	}
	used, err := p.used(ctx, instance)
	if err != nil {
		return provider.Limits{}, fail(err)
	}
	n := p.opts.NICsPerNode
	return provider.Limits{NICs: n, AddrsPerNIC: addrsPerNIC, Free: max(0, n-used)}, nil
}

// used counts the NICs that hold a slot on the instance.
func (p *Provider) used(ctx context.Context, instance nic.InstanceID) (int, error) {
	all, err := p.log.ReadAll(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, h := range all {
		if !h.Known || h.Last.Place.Instance != instance {
			continue
		}
		state, err := p.state(ctx, *h)
		if err != nil {
			return 0, err
		}
		if state == nic.StateAttached || state == nic.StateDetaching {
			n++
		}
	}
	return n, nil
}

// node returns the node that is the instance. One that is not ours is an error
// of the kind missing.
func (p *Provider) node(ctx context.Context, instance nic.InstanceID, missing error) (nic.Node, error) {
	node, err := p.opts.Nodes.Node(ctx, instance)
	if errors.Is(err, provider.ErrNotFound) {
		return nic.Node{}, &provider.Error{
			Kind: missing, Scope: provider.ScopeNode,
			Err: fmt.Errorf("no node is the instance %q of this provider", instance),
		}
	}
	if err != nil {
		return nic.Node{}, fmt.Errorf("read node of instance %q: %w", instance, err)
	}
	return node, nil
}

var (
	_ provider.Provider = (*Provider)(nil)
	_ provider.Placer   = (*Provider)(nil)
)
