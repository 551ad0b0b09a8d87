package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// maxTries bounds how often a verb decides again because others changed the
// NIC under it. Each time one of them got on, so more means a live-lock.
const maxTries = 8

var errContended = kindf(provider.ErrBusy, "other callers keep changing it")

// state is what a known NIC's records and its node's report say. A node that
// is not ours any more has not reported: silence is not clean.
func (p *Provider) state(ctx context.Context, h history) (nic.State, error) {
	switch h.last.Do {
	case "", left:
		return nic.StateAvailable, nil
	case attach:
		return nic.StateAttached, nil
	case erase:
		return nic.StateDeleting, nil
	case detach:
		clean, err := p.opts.Nodes.Clean(ctx, h.last.Place.Instance, h.id)
		switch {
		case err != nil && !errors.Is(err, provider.ErrNotFound):
			return "", fmt.Errorf("ask whether instance %q is clean: %w", h.last.Place.Instance, err)
		case err == nil && clean:
			return nic.StateAvailable, nil
		}
		return nic.StateDetaching, nil
	}
	return "", kindf(provider.ErrInvalid, "ledger record %q says %q; was it written by a newer nicferry?",
		stepKey(h.id, h.newest()), h.last.Do)
}

// seen is what the provider says of a known NIC in that state.
func (h history) seen(state nic.State) nic.Seen {
	seen := nic.Seen{
		NIC: h.id, ProviderID: string(h.id),
		State: state, MAC: h.spec.MAC, Addrs: h.spec.Addrs,
	}
	if state == nic.StateAttached || state == nic.StateDetaching {
		seen.Place, seen.Device = h.last.Place, recipe(h.spec)
	}
	return seen
}

// Get implements provider.Provider.
func (p *Provider) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	fail := p.failing("get", "")
	got := make(map[nic.ID]nic.Seen, len(ids))
	for _, id := range ids {
		h, err := p.read(ctx, id)
		if err != nil {
			return nil, fail(err)
		}
		seen, known, err := p.look(ctx, h)
		if err != nil {
			return nil, fail(err)
		}
		if known {
			got[id] = seen
		}
	}
	return got, nil
}

// List implements provider.Provider.
func (p *Provider) List(ctx context.Context) ([]nic.Seen, error) {
	fail := p.failing("list", "")
	histories, err := p.readAll(ctx)
	if err != nil {
		return nil, fail(err)
	}
	all := make([]nic.Seen, 0, len(histories))
	for _, h := range histories {
		seen, known, err := p.look(ctx, *h)
		if err != nil {
			return nil, fail(err)
		}
		if known {
			all = append(all, seen)
		}
	}
	return all, nil
}

// look says what there is to see. When the node has reported the NIC clean it
// records that, so that available, once said, stays so when the node is told
// something new and its report is reset.
func (p *Provider) look(ctx context.Context, h history) (seen nic.Seen, known bool, err error) {
	for range maxTries {
		if !h.known {
			return nic.Seen{}, false, nil
		}
		state, err := p.state(ctx, h)
		if err != nil {
			return nic.Seen{}, false, err
		}
		if h.last.Do != detach || state != nic.StateAvailable {
			return h.seen(state), true, nil
		}
		added, err := p.add(ctx, h, step{Do: left})
		if err != nil {
			return nic.Seen{}, false, err
		}
		if added {
			return h.seen(state), true, nil
		}
		if h, err = p.read(ctx, h.id); err != nil {
			return nic.Seen{}, false, err
		}
	}
	return nic.Seen{}, false, errContended
}
