package libvirt

import (
	"context"
	"errors"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// Create implements provider.Provider: it records the spec. libvirt hears of
// the NIC when it is plugged in.
func (p *Provider) Create(ctx context.Context, spec nic.Spec) (nic.Seen, error) {
	fail := p.failing("create", spec.NIC)
	if err := check(spec); err != nil {
		return nic.Seen{}, fail(err)
	}
	h, err := p.log.Record(ctx, spec)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	var domains []virt.Domain
	if h.Newest() > 0 { // something was done with it: look where it is
		hv, err := p.conn.get(ctx)
		if err != nil {
			return nic.Seen{}, fail(err)
		}
		if domains, err = p.domains(ctx, hv); err != nil {
			return nic.Seen{}, fail(err)
		}
	}
	seen, err := judge(h, domains)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	return seen, nil
}

// Delete implements provider.Provider. It first closes the NIC with a last step
// and then removes its records, so that a repeat after a crash goes on.
func (p *Provider) Delete(ctx context.Context, id nic.ID) error {
	fail := p.failing("delete", id)
	hv, err := p.conn.get(ctx)
	if err != nil {
		return fail(err)
	}
	plugged := func(h ledgerlog.History) error {
		domains, err := p.domains(ctx, hv)
		if err != nil {
			return err
		}
		sites := find(domains, id, h.Spec.MAC)
		switch {
		case len(sites) > 0:
			return provider.Errorf(provider.ErrBusy, "is plugged into %s", list(sites))
		case underway(h.Last, domains):
			return provider.Errorf(provider.ErrBusy, "is being plugged into %s", h.Last.Place.Instance)
		}
		return nil
	}
	err = p.log.Change(ctx, id, func(h ledgerlog.History) (*ledgerlog.Step, error) {
		if err := plugged(h); err != nil || h.Last.Do == ledgerlog.Erase {
			return nil, err
		}
		return &ledgerlog.Step{Do: ledgerlog.Erase}, nil
	})
	gone := errors.Is(err, provider.ErrNotFound)
	if err != nil && !gone {
		return fail(err)
	}
	if lost := p.log.Forget(ctx, id); lost != nil {
		return fail(lost)
	}
	p.forget(id)
	if gone {
		return fail(err)
	}
	return nil
}
