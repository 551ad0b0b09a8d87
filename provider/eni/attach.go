package eni

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// nextIndex is when another index can be tried: at once.
const nextIndex = 20 * time.Millisecond

// Attach implements provider.Provider. It looks first, or goes by a look a moment ago:
// clouds know no token for attaching, but attach nothing that is attached.
func (p *Provider) Attach(ctx context.Context, id nic.ID, place nic.Place) (nic.Seen, error) {
	fail := p.failing("attach", id)
	f, err := p.at(ctx, id, nic.StateAvailable)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	there, err := p.mayAttach(f, place)
	switch {
	case err != nil || there:
	case f.isMember():
		f, err = p.join(ctx, f, place)
	default:
		f, err = p.plugIn(ctx, f, place)
	}
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	p.mend(ctx, f)
	seen, err := p.seen(ctx, f)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	return seen, nil
}

// have is the NIC's interface, also where the cloud does not show yet what we made.
func (p *Provider) have(ctx context.Context, id nic.ID) (Interface, error) {
	all, err := p.look(ctx, id)
	if err != nil {
		return Interface{}, err
	}
	if f, ok := all[id]; ok {
		return f, nil
	}
	if d := p.recent.of(id); d.young() && d.made.ID != "" {
		return d.made, nil
	}
	return Interface{}, p.notShown()
}

// at is have, or what the cloud said a moment ago if the NIC was in that state by then.
func (p *Provider) at(ctx context.Context, id nic.ID, state nic.State) (Interface, error) {
	d := p.recent.of(id)
	if f, ok := d.seen(); ok {
		if now, _ := stateOf(f, d); now == state {
			return f, nil
		}
	}
	return p.have(ctx, id)
}

// mayAttach says whether the NIC is plugged in there already, and why it cannot be
// plugged in at present.
func (p *Provider) mayAttach(f Interface, place nic.Place) (there bool, err error) {
	state, at := stateOf(f, p.recent.of(f.nic()))
	switch {
	case state == nic.StateAvailable:
		return false, nil
	case state == nic.StateDeleting:
		return false, provider.Errorf(provider.ErrNotFound, "it is deleted")
	case at.Instance != "" && at.Instance != place.Instance:
		return false, provider.Errorf(provider.ErrElsewhere, "%s is %s on %s", f.ID, state, at.Instance)
	case state == nic.StateAttached:
		return true, nil
	}
	return false, provider.Errorf(provider.ErrBusy, "%s is %s", f.ID, state)
}

// plugIn has the cloud attach the interface, at the lowest index that is free.
func (p *Provider) plugIn(ctx context.Context, f Interface, place nic.Place) (Interface, error) {
	m, index, err := p.indexOn(ctx, place.Instance, f.nic())
	if err != nil {
		return f, err
	}
	defer p.recent.acts(f.nic())()
	if err := p.name(ctx, &f, place.Node); err != nil {
		p.indexes.free(place.Instance, f.nic(), index)
		return f, err
	}
	p.recent.attaches(f.nic(), place.Instance)
	attachment, err := p.cloud.Attach(ctx, f, place.Instance, index)
	if err != nil {
		p.known.Drop(place.Instance)
		return p.notAttached(ctx, f, place, m, index, err)
	}
	f.State, f.Plug = nic.StateAttaching, &Plug{ID: attachment, Instance: place.Instance, Index: index}
	p.recent.attached(f.nic(), place)
	return f, nil
}

// indexOn holds an index of the instance for the NIC: by what is remembered of the
// instance if there is one by that, or else by a look.
func (p *Provider) indexOn(ctx context.Context, instance nic.InstanceID, id nic.ID) (m Instance, index int, err error) {
	if m, known := p.known.Get(instance); known && m.takes(instance) == nil {
		if limit, err := p.limitsOf(ctx, m.Kind); err == nil {
			if index, ok, _ := p.indexes.hold(instance, id, m.Used, limit.NICs); ok {
				return m, index, nil
			}
		}
	}
	if m, err = p.instanceOf(ctx, instance, provider.ErrInvalid); err == nil {
		err = m.takes(instance)
	}
	if err != nil {
		return m, 0, err
	}
	limit, err := p.limitsOf(ctx, m.Kind)
	if err != nil {
		return m, 0, err
	}
	index, ok, later := p.indexes.hold(instance, id, m.Used, limit.NICs)
	switch {
	case later:
		err = &provider.Error{
			Kind: provider.ErrBusy, Scope: provider.ScopeNode, RetryAfter: time.Second,
			Err: fmt.Errorf("the last free interfaces of %s are being attached, or may be", instance),
		}
	case !ok:
		err = &provider.Error{
			Kind: provider.ErrExhausted, Scope: provider.ScopeNode,
			Err: fmt.Errorf("%d of %d %s of %s (%s) are in use", len(m.Used), limit.NICs, p.traits.Slots, instance, m.Kind),
		}
	}
	return m, index, err
}

// name has the node's name on the interface, so that whoever sees it plugged in
// knows where; it is there already unless the NIC was made for another node.
func (p *Provider) name(ctx context.Context, f *Interface, node string) error {
	if node == "" || f.node() == node {
		return nil
	}
	if err := p.cloud.Tag(ctx, *f, TagNode, node); err != nil {
		return p.perhapsYoung(f.nic(), err)
	}
	f.Tags = maps.Clone(f.Tags) // others have it too
	f.Tags[TagNode] = node
	return nil
}

// notAttached says what a refused attach means.
func (p *Provider) notAttached(ctx context.Context, f Interface, place nic.Place, m Instance, index int, err error) (Interface, error) {
	if errors.Is(err, provider.ErrUnknown) {
		return f, err // it may have that index
	}
	if errors.Is(err, ErrIndexUsed) {
		p.indexes.taken(place.Instance, index)
		return f, busyInstead(err, nextIndex)
	}
	p.indexes.free(place.Instance, f.nic(), index)
	switch {
	case is(err, provider.ErrExhausted, provider.ScopeNode):
		p.types.Drop(m.Kind)
	case errors.Is(err, ErrPluggedIn): // perhaps by our own attempt before
		now, lookErr := p.have(ctx, f.nic())
		if lookErr != nil {
			return f, lookErr
		}
		switch there, err := p.mayAttach(now, place); {
		case err != nil:
			return f, err
		case there:
			return now, nil
		}
		p.recent.attached(f.nic(), place) // not shown yet: it is on its way, until a look can be no stale one
	}
	return f, p.perhapsYoung(f.nic(), err)
}
