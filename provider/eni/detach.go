package eni

import (
	"context"
	"errors"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Detach implements provider.Provider. It never forces: a guest that hangs has its
// NIC until an operator says otherwise.
func (p *Provider) Detach(ctx context.Context, id nic.ID, instance nic.InstanceID) error {
	fail := p.failing("detach", id)
	f, err := p.at(ctx, id, nic.StateAttached)
	if err != nil {
		return fail(err)
	}
	d := p.recent.of(id)
	state, at := stateOf(f, d)
	switch {
	case state == nic.StateDeleting:
		return fail(provider.Errorf(provider.ErrNotFound, "it is deleted"))
	case at.Instance == "":
		return nil
	case at.Instance != instance:
		return fail(provider.Errorf(provider.ErrElsewhere, "%s is %s on %s", f.ID, state, at.Instance))
	case state == nic.StateDetaching && !p.again(d.detachedAt):
		return nil
	case state == nic.StateAttaching:
		return fail(provider.Errorf(provider.ErrBusy, "%s is %s", f.ID, state))
	}
	defer p.recent.acts(id)()
	err = p.cloud.Detach(ctx, f)
	if err != nil && !errors.Is(err, provider.ErrNotFound) { // the attachment: it has gone by itself
		return fail(err)
	}
	p.recent.ended(id, f.Plug.ID)
	p.indexes.free(instance, id, f.Plug.Index)
	p.known.Drop(instance) // it still has the interface for a while, and no index of ours says so
	return nil
}

// again says whether what began then is to be asked for once more, as it is not done.
func (p *Provider) again(began time.Time) bool {
	return p.traits.Again > 0 && time.Since(began) >= p.traits.Again
}

// Delete implements provider.Provider.
func (p *Provider) Delete(ctx context.Context, id nic.ID) error {
	fail := p.failing("delete", id)
	all, err := p.lookAll(ctx, id)
	if err != nil {
		return fail(err)
	}
	d, fs := p.recent.of(id), all[id]
	if len(fs) == 0 && d.young() && d.made.ID != "" {
		fs = []Interface{d.made}
	}
	if len(fs) == 0 || p.gone(fs[0], d) {
		return fail(p.notShown())
	}
	for _, f := range fs {
		switch state, at := stateOf(f, d); {
		case at.Instance != "":
			return fail(provider.Errorf(provider.ErrBusy, "%s is %s on %s", f.ID, state, at.Instance))
		case state == nic.StateDeleting && !p.again(d.deletedAt):
			return nil
		}
	}
	defer p.recent.acts(id)()
	// The others first: as long as the NIC is there, Delete is called again.
	for i := len(fs) - 1; i >= 0; i-- {
		if err := p.sink(ctx, fs[i]); err != nil {
			return fail(err)
		}
		err = p.cloud.Delete(ctx, fs[i])
		switch missing := errors.Is(err, provider.ErrNotFound); {
		case err == nil, missing && i > 0:
		case missing && (d.shown || !d.young()): // with its instance, by a person, or by an order whose answer was lost
			p.recent.gone(id)
			return fail(err)
		default:
			return fail(p.perhapsYoung(id, err))
		}
	}
	p.recent.deleted(id)
	return nil
}
