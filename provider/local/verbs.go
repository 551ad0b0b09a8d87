package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Create implements provider.Provider: it records the spec.
func (p *Provider) Create(ctx context.Context, spec nic.Spec) (nic.Seen, error) {
	fail := p.failing("create", spec.NIC)
	if err := check(spec); err != nil {
		return nic.Seen{}, fail(err)
	}
	h, err := p.read(ctx, spec.NIC)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	if !h.known {
		if len(h.steps) > 0 {
			return nic.Seen{}, fail(kindf(provider.ErrBusy, "is being deleted; repeat the delete until the NIC is not found"))
		}
		value, err := json.Marshal(spec)
		if err != nil {
			return nic.Seen{}, fail(fmt.Errorf("write spec: %w", err))
		}
		if _, _, err := p.opts.Ledger.Put(ctx, specKey(spec.NIC), value); err != nil {
			return nic.Seen{}, fail(fmt.Errorf("write ledger: %w", err))
		}
		if h, err = p.read(ctx, spec.NIC); err != nil { // maybe somebody else's
			return nic.Seen{}, fail(err)
		}
	}
	same, err := sameSpec(h.spec, spec)
	switch {
	case err != nil:
		return nic.Seen{}, fail(err)
	case !h.known || h.last.Do == erase:
		return nic.Seen{}, fail(kindf(provider.ErrBusy, "is being deleted"))
	case !same:
		return nic.Seen{}, fail(kindf(provider.ErrInvalid, "the NIC was made with other parameters; a new one needs a new id"))
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
	err := p.change(ctx, id, func(h history, state nic.State) (*step, error) {
		switch state {
		case nic.StateAttached:
			if h.last.Place.Instance != place.Instance {
				return nil, kindf(provider.ErrElsewhere, "on %s", h.last.Place.Instance)
			}
			seen = h.seen(state)
			return nil, nil
		case nic.StateDetaching:
			return nil, kindf(provider.ErrBusy, "is on its way out of %s, whose node has not reported it clean", h.last.Place.Instance)
		case nic.StateDeleting:
			return nil, kindf(provider.ErrNotFound, "is being deleted")
		}
		if err := p.hasRoom(ctx, place); err != nil {
			return nil, err
		}
		s := step{Do: attach, Place: place}
		h.last = s
		seen = h.seen(nic.StateAttached)
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
	err := p.change(ctx, id, func(h history, state nic.State) (*step, error) {
		plugged := state == nic.StateAttached || state == nic.StateDetaching
		switch {
		case plugged && h.last.Place.Instance != instance:
			return nil, kindf(provider.ErrElsewhere, "on %s", h.last.Place.Instance)
		case state == nic.StateAttached:
			return &step{Do: detach, Place: h.last.Place}, nil
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
	err := p.change(ctx, id, func(h history, state nic.State) (*step, error) {
		switch state {
		case nic.StateAttached, nic.StateDetaching:
			return nil, kindf(provider.ErrBusy, "is %s on %s", state, h.last.Place.Instance)
		case nic.StateDeleting:
			return nil, nil
		}
		return &step{Do: erase}, nil
	})
	gone := errors.Is(err, provider.ErrNotFound)
	if err != nil && !gone {
		return fail(err)
	}
	if lost := p.forget(ctx, id); lost != nil {
		return fail(lost)
	}
	if gone {
		return fail(err)
	}
	return nil
}

// change reads a NIC, lets decide choose the next step, and records it; nil is
// no step. If somebody else was faster, it reads and decides again.
func (p *Provider) change(ctx context.Context, id nic.ID, decide func(history, nic.State) (*step, error)) error {
	for range maxTries {
		h, err := p.read(ctx, id)
		if err != nil {
			return err
		}
		if !h.known {
			return &provider.Error{Kind: provider.ErrNotFound}
		}
		state, err := p.state(ctx, h)
		if err != nil {
			return err
		}
		next, err := decide(h, state)
		if err != nil || next == nil {
			return err
		}
		added, err := p.add(ctx, h, *next)
		if err != nil || added {
			return err
		}
	}
	return errContended
}
