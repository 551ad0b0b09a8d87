package made

import (
	"context"
	"errors"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// Create implements provider.Provider: it records the spec.
func (n *NICs) Create(ctx context.Context, spec nic.Spec) (nic.Seen, error) {
	fail := n.Failing("create", spec.NIC)
	if err := n.CheckPlaced(spec); err != nil {
		return nic.Seen{}, fail(err)
	}
	h, err := n.log.Record(ctx, spec)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	seen, known, err := n.look(ctx, h)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	if !known {
		return nic.Seen{}, fail(provider.Errorf(provider.ErrBusy, "is being deleted"))
	}
	return seen, nil
}

// Attach implements provider.Provider. The NIC is attached as soon as that is
// recorded: the node makes it when the controller tells it to.
func (n *NICs) Attach(ctx context.Context, id nic.ID, place nic.Place) (nic.Seen, error) {
	fail := n.Failing("attach", id)
	done, err := n.plugging.Take(ctx, place.Instance)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	defer done()
	var seen nic.Seen
	err = n.change(ctx, id, func(h ledgerlog.History, state nic.State) (*ledgerlog.Step, error) {
		switch state {
		case nic.StateAttached:
			if h.Last.Place.Instance != place.Instance {
				return nil, provider.Errorf(provider.ErrElsewhere, "on %s", h.Last.Place.Instance)
			}
			seen = seenAs(h, state)
			return nil, nil
		case nic.StateDetaching:
			return nil, provider.Errorf(provider.ErrBusy, "is on its way out of %s, whose node has not reported it clean", h.Last.Place.Instance)
		case nic.StateDeleting:
			return nil, provider.Errorf(provider.ErrNotFound, "is being deleted")
		}
		if err := n.room(ctx, h.Spec, place); err != nil {
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

// room refuses a place that is no node of ours, or has no room.
func (n *NICs) room(ctx context.Context, spec nic.Spec, place nic.Place) error {
	node, err := n.Node(ctx, place.Instance, provider.ErrInvalid)
	if err != nil {
		return err
	}
	if node.Name != place.Node {
		return provider.Errorf(provider.ErrInvalid, "instance %q is node %q, not %q", place.Instance, node.Name, place.Node)
	}
	return n.opts.Room(ctx, spec, place)
}

// Detach implements provider.Provider. The NIC is detaching until its node has
// reported it clean, for ever if need be.
func (n *NICs) Detach(ctx context.Context, id nic.ID, instance nic.InstanceID) error {
	err := n.change(ctx, id, func(h ledgerlog.History, state nic.State) (*ledgerlog.Step, error) {
		plugged := state == nic.StateAttached || state == nic.StateDetaching
		switch {
		case plugged && h.Last.Place.Instance != instance:
			return nil, provider.Errorf(provider.ErrElsewhere, "on %s", h.Last.Place.Instance)
		case state == nic.StateAttached:
			return &ledgerlog.Step{Do: ledgerlog.Detach, Place: h.Last.Place}, nil
		}
		return nil, nil
	})
	if err != nil {
		return n.Failing("detach", id)(err)
	}
	return nil
}

// Delete implements provider.Provider. It first closes the NIC with a last
// step and then removes its records, so that a repeat after a crash goes on.
func (n *NICs) Delete(ctx context.Context, id nic.ID) error {
	fail := n.Failing("delete", id)
	var spec nic.Spec
	err := n.change(ctx, id, func(h ledgerlog.History, state nic.State) (*ledgerlog.Step, error) {
		spec = h.Spec
		switch state {
		case nic.StateAttached, nic.StateDetaching:
			return nil, provider.Errorf(provider.ErrBusy, "is %s on %s", state, h.Last.Place.Instance)
		case nic.StateDeleting:
			return nil, nil
		}
		return &ledgerlog.Step{Do: ledgerlog.Erase}, nil
	})
	gone := errors.Is(err, provider.ErrNotFound)
	if err != nil && !gone {
		return fail(err)
	}
	if n.opts.Free != nil {
		if lost := n.opts.Free(ctx, id, spec); lost != nil {
			return fail(lost)
		}
	}
	if lost := n.log.Forget(ctx, id); lost != nil {
		return fail(lost)
	}
	if gone {
		return fail(err)
	}
	return nil
}

// change lets decide choose a NIC's next step from its history and state.
func (n *NICs) change(ctx context.Context, id nic.ID, decide func(ledgerlog.History, nic.State) (*ledgerlog.Step, error)) error {
	return n.log.Change(ctx, id, func(h ledgerlog.History) (*ledgerlog.Step, error) {
		state, err := n.State(ctx, h)
		if err != nil {
			return nil, err
		}
		return decide(h, state)
	})
}
