package local

import (
	"context"
	"fmt"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Note implements provider.Noter. It goes by what is remembered of the node's slots;
// where that is old, or does not suffice, the calls look at all NICs.
func (p *Provider) Note(ctx context.Context, spec nic.Spec, node nic.Node, at nic.Place, others int) (provider.Note, error) {
	spec, err := p.Place(ctx, spec, node)
	if err != nil {
		return provider.Note{}, err
	}
	if at.Node != node.Name {
		return provider.Note{}, p.Failing("note", spec.NIC)(provider.Errorf(provider.ErrInvalid, "the place is on %q, not on %q", at.Node, node.Name))
	}
	records, seen, err := p.Noted(spec, at)
	if err != nil {
		return provider.Note{}, err
	}
	if !p.taken.take(spec.NIC, at.Instance, p.slots-others) {
		return provider.Note{}, p.Failing("note", spec.NIC)(&provider.Error{
			Kind: provider.ErrExhausted, Scope: provider.ScopeNode,
			Err: fmt.Errorf("as far as is remembered, node %s has no slot of %d left", at.Node, p.slots),
		})
	}
	return provider.Note{Spec: spec, Seen: seen, Records: records, End: func(written bool) {
		if written { // again: a look that began before may not have seen it
			p.taken.learn(spec.NIC, at.Instance)
		} else {
			p.taken.learn(spec.NIC, "")
		}
	}}, nil
}

// Knows implements provider.Noter.
func (p *Provider) Knows(instance nic.InstanceID) bool { return p.taken.knows(instance) }

// Tell implements provider.Noter.
func (p *Provider) Tell(instance nic.InstanceID, there []nic.ID) { p.taken.tell(instance, there) }

var _ provider.Noter = (*Provider)(nil)
