package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// Create implements provider.Provider: it records the spec.
func (p *Provider) Create(ctx context.Context, spec nic.Spec) (nic.Seen, error) {
	fail := p.failing("create", spec.NIC)
	if err := check(spec); err != nil {
		return nic.Seen{}, fail(err)
	}
	h, err := p.log.Record(ctx, spec)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	seen, known, err := p.look(ctx, h)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	if !known {
		return nic.Seen{}, fail(kindf(provider.ErrBusy, "is being deleted"))
	}
	return seen, nil
}

// Attach implements provider.Provider. The NIC is attached as soon as that is
// recorded: the node makes it when the controller tells it to.
func (p *Provider) Attach(ctx context.Context, id nic.ID, place nic.Place) (nic.Seen, error) {
	fail := p.failing("attach", id)
	select {
	case p.plugging <- struct{}{}:
		defer func() { <-p.plugging }()
	case <-ctx.Done():
		return nic.Seen{}, fail(ctx.Err())
	}
	var seen nic.Seen
	err := p.change(ctx, id, func(h ledgerlog.History, state nic.State) (*ledgerlog.Step, error) {
		switch state {
		case nic.StateAttached:
			if h.Last.Place.Instance != place.Instance {
				return nil, kindf(provider.ErrElsewhere, "on %s", h.Last.Place.Instance)
			}
			seen = seenAs(h, state)
			return nil, nil
		case nic.StateDetaching:
			return nil, kindf(provider.ErrBusy, "is on its way out of %s, whose node has not reported it clean", h.Last.Place.Instance)
		case nic.StateDeleting:
			return nil, kindf(provider.ErrNotFound, "is being deleted")
		}
		if err := p.hasRoom(ctx, place); err != nil {
			return nil, err
		}
		s := ledgerlog.Step{Do: ledgerlog.Attach, Place: place}
		h.Last = s
		seen = seenAs(h, nic.StateAttached)
		return &s, nil
	})
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	return seen, nil
}

// hasRoom refuses a place that is no node of ours or is full.
func (p *Provider) hasRoom(ctx context.Context, place nic.Place) error {
	node, err := p.node(ctx, place.Instance, provider.ErrInvalid)
	if err != nil {
		return err
	}
	if node.Name != place.Node {
		return kindf(provider.ErrInvalid, "instance %q is node %q, not %q", place.Instance, node.Name, place.Node)
	}
	used, err := p.used(ctx, place.Instance)
	if err != nil {
		return err
	}
	if used >= p.opts.NICsPerNode {
		return &provider.Error{
			Kind: provider.ErrExhausted, Scope: provider.ScopeNode,
			Err: fmt.Errorf("%d of %d NICs are on node %s", used, p.opts.NICsPerNode, place.Node),
		}
	}
	return nil
}

// Detach implements provider.Provider. The NIC is detaching until its node has
// reported it clean, for ever if need be.
func (p *Provider) Detach(ctx context.Context, id nic.ID, instance nic.InstanceID) error {
	err := p.change(ctx, id, func(h ledgerlog.History, state nic.State) (*ledgerlog.Step, error) {
		plugged := state == nic.StateAttached || state == nic.StateDetaching
		switch {
		case plugged && h.Last.Place.Instance != instance:
			return nil, kindf(provider.ErrElsewhere, "on %s", h.Last.Place.Instance)
		case state == nic.StateAttached:
			return &ledgerlog.Step{Do: ledgerlog.Detach, Place: h.Last.Place}, nil
		}
		return nil, nil
	})
	if err != nil {
		return p.failing("detach", id)(err)
	}
	return nil
}

// Delete implements provider.Provider. It first closes the NIC with a last
// step and then removes its records, so that a repeat after a crash goes on.
func (p *Provider) Delete(ctx context.Context, id nic.ID) error {
	fail := p.failing("delete", id)
	err := p.change(ctx, id, func(h ledgerlog.History, state nic.State) (*ledgerlog.Step, error) {
		switch state {
		case nic.StateAttached, nic.StateDetaching:
			return nil, kindf(provider.ErrBusy, "is %s on %s", state, h.Last.Place.Instance)
		case nic.StateDeleting:
			return nil, nil
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
	if gone {
		return fail(err)
	}
	return nil
}

// change lets decide choose a NIC's next step from its history and state.
func (p *Provider) change(ctx context.Context, id nic.ID, decide func(ledgerlog.History, nic.State) (*ledgerlog.Step, error)) error {
	return p.log.Change(ctx, id, func(h ledgerlog.History) (*ledgerlog.Step, error) {
		state, err := p.state(ctx, h)
		if err != nil {
			return nil, err
		}
		return decide(h, state)
	})
}
