package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// parallel is how many moves of a drain run at once, where its request says
// nothing.
const parallel = 2

// Drain begins to empty a node, or goes on with it by the new request: what was
// refused or undone is tried again. A node that there is not, also one to drain to:
// an error of Claims.
func (m *Mover) Drain(ctx context.Context, node string, request nic.DrainRequest) (nic.Drain, error) {
	if _, err := m.opts.Claims.Node(ctx, node); err != nil {
		return nic.Drain{}, err
	}
	if request.MaxParallel < 0 || slices.Contains(request.To, node) {
		return nic.Drain{}, fmt.Errorf("drain %s: to another node, and with at least one move at a time: %w", node, ErrInvalid)
	}
	for _, to := range request.To {
		if _, err := m.opts.Claims.Node(ctx, to); err != nil {
			return nic.Drain{}, fmt.Errorf("drain %s to %s: %w", node, to, err)
		}
	}
	if request.MaxParallel == 0 {
		request.MaxParallel = parallel
	}
	d, err := m.changeDrain(ctx, node, func(d *nic.Drain) {
		if d.Phase == "" {
			d.Schema, d.Node, d.Created = nic.Schema, node, time.Now().UTC()
		}
		d.Request, d.Phase, d.Why, d.Ended = request, nic.DrainMoving, "", time.Time{}
		d.Containers = slices.DeleteFunc(d.Containers, func(c nic.DrainedContainer) bool {
			return c.Move == "" || c.State == nic.MoveUndone
		})
	})
	if err == nil {
		m.tellDrain(d, newsDrain, "its containers are moved to other nodes", api.EventNormal)
		m.wakeDrains()
	}
	return d, err
}

// Undrain begins no more moves, and makes the node a target again; those under way
// end as they do. A node that is not drained: ErrNotFound.
func (m *Mover) Undrain(ctx context.Context, node string) (nic.Drain, error) {
	for range maxRounds {
		d, rev, err := store.GetJSON[nic.Drain](ctx, m.opts.Store, drainKey(node))
		if errors.Is(err, store.ErrNotFound) {
			return nic.Drain{}, fmt.Errorf("%s is not drained: %w", node, ErrNotFound)
		}
		if err != nil {
			return nic.Drain{}, fmt.Errorf("read the drain of %s: %w", node, err)
		}
		_, err = m.opts.Store.Commit(ctx, store.Delete(drainKey(node), rev))
		if err == nil {
			m.tellDrain(d, newsUndrain, "containers may be moved there again", api.EventNormal)
			return d, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nic.Drain{}, fmt.Errorf("take back the drain of %s: %w", node, err)
		}
	}
	return nic.Drain{}, fmt.Errorf("take back the drain of %s: gave up after %d rounds", node, maxRounds)
}

// Drains returns those that nobody has taken back, by node.
func (m *Mover) Drains(ctx context.Context) ([]nic.Drain, error) {
	records, _, err := store.ListJSON[nic.Drain](ctx, m.opts.Store, drainPrefix, "", 0)
	if err != nil {
		return nil, fmt.Errorf("list drains: %w", err)
	}
	drains := make([]nic.Drain, len(records))
	for i, r := range records {
		drains[i] = r.Value
	}
	return drains, nil
}

// changeDrain makes or changes a drain's record.
func (m *Mover) changeDrain(ctx context.Context, node string, change func(*nic.Drain)) (nic.Drain, error) {
	for range maxRounds {
		d, rev, err := store.GetJSON[nic.Drain](ctx, m.opts.Store, drainKey(node))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nic.Drain{}, fmt.Errorf("read the drain of %s: %w", node, err)
		}
		if err := knows(d.Schema, "the drain of "+node); err != nil {
			return nic.Drain{}, err
		}
		change(&d)
		op, err := store.UpdateJSON(drainKey(node), d, rev)
		if err != nil {
			return nic.Drain{}, err
		}
		_, err = m.opts.Store.Commit(ctx, op)
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nic.Drain{}, fmt.Errorf("store the drain of %s: %w", node, err)
		}
	}
	return nic.Drain{}, fmt.Errorf("store the drain of %s: gave up after %d rounds", node, maxRounds)
}

func (m *Mover) tellDrain(d nic.Drain, reason nic.Reason, text string, as api.EventType) {
	m.opts.Events.Add(api.Event{Type: as, Reason: reason, Node: d.Node, Message: fmt.Sprintf("drain of %s: %s", d.Node, text)})
	m.opts.Log.Info("drain", "node", d.Node, "reason", string(reason), "says", text)
}
