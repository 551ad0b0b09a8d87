package eni

import (
	"context"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// Assign implements provider.AddrAssigner. A cloud may take an address from any interface
// of the subnet if it is let; so it is only where a look has shown that the address is on
// the NIC that it is to be taken from, or on this one.
func (p *Provider) Assign(ctx context.Context, id nic.ID, addrs []netip.Addr, from nic.ID) error {
	fail := p.failing("assign", id)
	ids := []nic.ID{id}
	if from != "" {
		ids = append(ids, from)
	}
	all, err := p.look(ctx, ids...)
	if err != nil {
		return fail(err)
	}
	to, ok := all[id]
	if !ok {
		return fail(p.notShown())
	}
	source := all[from]
	for _, of := range ids {
		defer p.recent.acts(of)()
	}
	var taken, fresh []netip.Addr
	for _, a := range addrs {
		switch {
		case slices.Contains(to.Addrs, a) && (from == "" || a.Is6()):
		case slices.Contains(to.Addrs, a), slices.Contains(source.Addrs, a): // what is shown may be of before the last order
			taken = append(taken, a)
		default:
			fresh = append(fresh, a)
		}
	}
	if len(taken) > 0 {
		if err := p.cloud.Move(ctx, taken, source, to); err != nil {
			return fail(err)
		}
	}
	if len(fresh) > 0 {
		if err := p.cloud.Assign(ctx, to, fresh); err != nil {
			return fail(err)
		}
	}
	return nil
}

// Unassign implements provider.AddrAssigner.
func (p *Provider) Unassign(ctx context.Context, id nic.ID, addrs []netip.Addr) error {
	fail := p.failing("unassign", id)
	all, err := p.look(ctx, id)
	if err != nil {
		return fail(err)
	}
	f, ok := all[id]
	if !ok {
		return fail(p.notShown())
	}
	defer p.recent.acts(id)()
	has := slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !slices.Contains(f.Addrs, a) })
	if len(has) == 0 {
		return nil
	}
	if err := p.cloud.Unassign(ctx, f, has); err != nil {
		return fail(err)
	}
	return nil
}
