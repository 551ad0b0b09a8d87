package fake

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Assign implements provider.AddrAssigner.
func (p *Provider) Assign(ctx context.Context, id nic.ID, addrs []netip.Addr, from nic.ID) error {
	return p.call(ctx, Call{Op: OpAssign, ID: id}, func(now time.Time) (effect bool, err error) {
		to := p.find(id, now)
		if to == nil || now.Before(to.visible) {
			return false, notFound()
		}
		fresh := slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return slices.Contains(to.addrs, a) })
		if len(to.addrs)+len(fresh) > p.opts.AddrsPerNIC {
			return false, exhausted(provider.ScopeNIC, "the NIC has %d of %d addresses", len(to.addrs), p.opts.AddrsPerNIC)
		}
		for _, a := range fresh {
			if err := p.mayAssign(to, a, from, now); err != nil {
				return false, err
			}
		}
		for other := range p.nics {
			if r := p.find(other, now); r != nil && r != to && slices.ContainsFunc(fresh, func(a netip.Addr) bool { return slices.Contains(r.addrs, a) }) {
				r.lag(now, p.opts.Latency.Assign)
				r.addrs = slices.DeleteFunc(r.addrs, func(a netip.Addr) bool { return slices.Contains(fresh, a) })
			}
		}
		if len(fresh) > 0 {
			to.lag(now, p.opts.Latency.Assign)
			to.addrs = append(to.addrs, fresh...)
		}
		return len(fresh) > 0, nil
	})
}

// mayAssign says why the NIC cannot be given an address that it has not.
func (p *Provider) mayAssign(to *record, a netip.Addr, from nic.ID, now time.Time) error {
	if s, ok := p.subnet(to.spec.Cloud.Subnet); ok && !s.Prefix.Contains(a) {
		return invalid("%s is not in subnet %s", a, s.ID)
	}
	for other := range p.nics {
		r := p.find(other, now)
		switch {
		case r == nil || !slices.Contains(r.addrs, a):
		case other != from:
			return &provider.Error{Kind: provider.ErrElsewhere, Scope: provider.ScopeAddress, Err: fmt.Errorf("%s is on %s", a, other)}
		case r.addrs[0] == a:
			return invalid("%s is the address that %s was made with", a, other)
		}
	}
	return nil
}

// Unassign implements provider.AddrAssigner.
func (p *Provider) Unassign(ctx context.Context, id nic.ID, addrs []netip.Addr) error {
	return p.call(ctx, Call{Op: OpUnassign, ID: id}, func(now time.Time) (effect bool, err error) {
		r := p.find(id, now)
		if r == nil || now.Before(r.visible) {
			return false, notFound()
		}
		if len(r.addrs) > 0 && slices.Contains(addrs, r.addrs[0]) {
			return false, invalid("%s is the address that the NIC was made with", r.addrs[0])
		}
		had := len(r.addrs)
		r.lag(now, p.opts.Latency.Assign)
		r.addrs = slices.DeleteFunc(r.addrs, func(a netip.Addr) bool { return slices.Contains(addrs, a) })
		return len(r.addrs) < had, nil
	})
}

// lag has the addresses of now told for as long as that.
func (r *record) lag(now time.Time, d time.Duration) {
	r.shown, r.lags = slices.Clone(r.addrs), now.Add(d)
	r.addrs = slices.Clone(r.addrs)
}

// Holders are the NICs that have the address, as things are.
func (p *Provider) Holders(a netip.Addr) (ids []nic.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for id := range p.nics {
		if r := p.find(id, now); r != nil && slices.Contains(r.addrs, a) {
			ids = append(ids, id)
		}
	}
	return ids
}

var _ provider.AddrAssigner = (*Provider)(nil)
