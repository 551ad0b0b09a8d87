package fake

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Get implements provider.Provider.
func (p *Provider) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	var got map[nic.ID]nic.Seen
	err := p.call(ctx, Call{Op: OpGet}, func(now time.Time) (bool, error) {
		got = make(map[nic.ID]nic.Seen, len(ids))
		for _, id := range ids {
			if r := p.find(id, now); r != nil && !now.Before(r.visible) {
				got[id] = r.seen(p.opts)
			}
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	return got, nil
}

// List implements provider.Provider. Foreign NICs are never in it.
func (p *Provider) List(ctx context.Context) ([]nic.Seen, error) {
	var all []nic.Seen
	err := p.call(ctx, Call{Op: OpList}, func(now time.Time) (bool, error) {
		for id := range p.nics {
			if r := p.find(id, now); r != nil && !now.Before(r.visible) {
				all = append(all, r.seen(p.opts))
			}
		}
		slices.SortFunc(all, func(a, b nic.Seen) int { return cmp.Compare(a.NIC, b.NIC) })
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// World returns every NIC of ours as it is now, also those that List does not
// show yet. It takes no time, strikes no fault and is not in the log.
func (p *Provider) World() []nic.Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []nic.Seen
	now := time.Now()
	for id := range p.nics {
		if r := p.find(id, now); r != nil {
			all = append(all, r.seen(p.opts))
		}
	}
	slices.SortFunc(all, func(a, b nic.Seen) int { return cmp.Compare(a.NIC, b.NIC) })
	return all
}

// Limits implements provider.Provider. Foreign NICs take slots too.
func (p *Provider) Limits(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	var limits provider.Limits
	err := p.call(ctx, Call{Op: OpLimits, Instance: instance}, func(now time.Time) (bool, error) {
		if !p.knows(instance) {
			return false, notFound()
		}
		n := p.opts.NICsPerInstance
		limits = provider.Limits{NICs: n, AddrsPerNIC: p.opts.AddrsPerNIC, Free: max(0, n-p.used(instance, now)), Slot: p.opts.Slot}
		return false, nil
	})
	return limits, err
}

// Members implements provider.Trunking. The trunk itself takes no slot here.
func (p *Provider) Members(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	var limits provider.Limits
	err := p.call(ctx, Call{Op: OpLimits, Instance: instance}, func(now time.Time) (bool, error) {
		if !p.knows(instance) {
			return false, notFound()
		}
		n := p.opts.Members
		limits = provider.Limits{NICs: n, AddrsPerNIC: p.opts.AddrsPerNIC, Free: max(0, n-p.plugged(instance, true, now)), Slot: "trunk member"}
		return false, nil
	})
	return limits, err
}

// Off implements provider.Powered: SetOff says it.
func (p *Provider) Off(ctx context.Context, instance nic.InstanceID) (off bool, err error) {
	err = p.call(ctx, Call{Op: OpOff, Instance: instance}, func(time.Time) (bool, error) {
		if !p.knows(instance) {
			return false, notFound()
		}
		off = p.off[instance]
		return false, nil
	})
	return off, err
}

// SetOff turns an instance off, or on again, as all are at first.
func (p *Provider) SetOff(instance nic.InstanceID, off bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off[instance] = off
}

var (
	_ provider.Powered  = (*Provider)(nil)
	_ provider.Trunking = (*Provider)(nil)
)
