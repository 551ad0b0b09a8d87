// Package sriov is the provider of virtual functions of a node's own cards, alone
// or bonded. It has no world to ask: which VFs there are the nodes tell, which are
// given out is in its ledger, and what became of them is what the nodes report.
package sriov

import (
	"context"
	"fmt"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/made"
	"github.com/nicferry/nicferry/sriov"
)

// Kind is the driver's name in the config.
const Kind = "sriov"

// slotName is what people call what a NIC takes of its node.
const slotName = "VF"

// Options configure a provider.
type Options struct {
	// Name is the configured name; required.
	Name string
	// Ledger is this provider's own; required.
	Ledger provider.Ledger
	// Nodes are asked for their cards, and whether a NIC has left its node; required.
	Nodes provider.Nodes
	// Networks are all that there are, also other providers': what they have on cards
	// says which kind of link a network is given that falls back to either. Optional.
	Networks []nic.Network
	// Tenants are those that a node may serve; optional: without it any.
	Tenants func(node string) []string
}

// A Provider is a provider of VFs. Several on one ledger, as with two controllers,
// see and respect each other's work. A NIC has its VFs from Place until it is
// deleted, which it is not before its node has reported it clean. It is plugged in
// on the node of its VFs and nowhere else.
type Provider struct {
	*made.NICs
	name  string
	books *books
	bound bound
	// placing is held for a node from looking what is given out there to taking of it.
	placing made.Turns[string]
}

// New returns a provider, or an error that names a missing option.
func New(o Options) (*Provider, error) {
	p := &Provider{name: o.Name, bound: newBound(o.Networks, o.Tenants)}
	base := made.Options{Name: o.Name, Ledger: o.Ledger, Nodes: o.Nodes, Shape: checkPlaced, Room: p.room, Free: p.free}
	if err := base.Check().Err(); err != nil {
		return nil, fmt.Errorf("make SR-IOV provider: %w", err)
	}
	p.NICs = made.New(base)
	p.books = newBooks(o.Ledger, p.Log())
	return p, nil
}

// Info implements provider.Provider.
func (p *Provider) Info() provider.Info {
	return provider.Info{Name: p.name, Kind: Kind, Travel: provider.Rebuild, WorstCall: made.WorstCall}
}

// Limits implements provider.Provider. The slots are the VFs of all the node's
// cards; which of them a network may have Place knows, and a bond takes two. A VF
// is taken from Attach until its NIC is deleted.
func (p *Provider) Limits(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	limits, err := p.limits(ctx, instance)
	if err != nil {
		return provider.Limits{}, p.Failing("limits", "")(err)
	}
	return limits, nil
}

func (p *Provider) limits(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	node, err := p.Node(ctx, instance, provider.ErrNotFound)
	if err != nil {
		return provider.Limits{}, err
	}
	pfs, err := cards(node)
	if err != nil {
		return provider.Limits{}, err
	}
	entries, err := p.books.of(ctx, node.Name)
	if err != nil {
		return provider.Limits{}, err
	}
	used, err := p.books.plugged(ctx, entries)
	if err != nil {
		return provider.Limits{}, err
	}
	limits := provider.Limits{AddrsPerNIC: made.AddrsPerNIC, Slot: slotName}
	for _, pf := range pfs {
		for _, vf := range pf.VFs {
			limits.NICs++
			if vf.Use.How == sriov.Free && !used[vf.Address] {
				limits.Free++
			}
		}
	}
	return limits, nil
}

// cards are those that the node has told of, one at least.
func cards(node nic.Node) ([]sriov.PF, error) {
	pfs := sriov.PFs(node.Inventory.Cards)
	if len(pfs) == 0 {
		return nil, &provider.Error{
			Kind: provider.ErrUnsupported, Scope: provider.ScopeNode,
			Err: fmt.Errorf("node %s tells of no card with SR-IOV: nicferry-agent sriov list says there what the machine has, and nicferry doctor what is in the way; "+
				"if it has one, the agent is older than this controller: bring it up to date", node.Name),
		}
	}
	return pfs, nil
}

// room refuses a NIC on another node than that of its VFs, and one whose VFs others
// have been given: its own were set aside when it was placed, unless it was then
// forgotten for so long that it seemed never to come.
func (p *Provider) room(ctx context.Context, spec nic.Spec, at nic.Place) error {
	if spec.Node != at.Node {
		return provider.Errorf(provider.ErrInvalid, "was made of what node %s has, and cannot be on %s; it is to be rebuilt there", spec.Node, at.Node)
	}
	if spec.Device.Parent != "" {
		unlike, err := p.books.carry(ctx, spec, true)
		if err == nil && unlike != nil {
			err = exhausted(unlike)
		}
		return err
	}
	lost, err := p.books.take(ctx, spec.Node, spec.NIC, addresses(spec.Device))
	if err != nil {
		return err
	}
	if len(lost) == 0 {
		p.books.plug(spec.NIC)
		return nil
	}
	l := lost[0]
	if l.had { // whoever is there has yet to see that it is taken
		return &provider.Error{Kind: provider.ErrBusy, Scope: provider.ScopeNode, RetryAfter: settles, Err: l}
	}
	return &provider.Error{Kind: provider.ErrExhausted, Scope: provider.ScopeNode, Err: l}
}

// free gives back what was set aside for a NIC.
func (p *Provider) free(ctx context.Context, id nic.ID, spec nic.Spec) error {
	return p.books.giveBack(ctx, id, spec.Node, spec.Device)
}

// addresses are those of a recipe's VFs.
func addresses(d nic.Device) []sriov.Address {
	switch d.Kind {
	case nic.SRIOV:
		return []sriov.Address{sriov.Address(d.VF.PCI)}
	case nic.Bonded:
		var all []sriov.Address
		for _, vf := range d.Bond.Members {
			all = append(all, sriov.Address(vf.PCI))
		}
		return all
	}
	return nil
}

var (
	_ provider.Provider = (*Provider)(nil)
	_ provider.Placer   = (*Provider)(nil)
	_ provider.Fitter   = (*Provider)(nil)
)
