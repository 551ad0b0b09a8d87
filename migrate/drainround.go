package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// drainEvery is the time between two looks at nodes that are drained, besides
// those when a move has ended.
const drainEvery = 5 * time.Second

// drainNodes keeps the moves of all drains running until ctx ends.
func (m *Mover) drainNodes(ctx context.Context) {
	look := time.NewTicker(drainEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.drains:
		case <-look.C:
		}
		if err := m.drainRound(ctx); err != nil && ctx.Err() == nil {
			m.opts.Log.Warn("nodes are not drained at present; this is tried again", "error", err)
		}
	}
}

// drainRound looks at all drains once.
func (m *Mover) drainRound(ctx context.Context) error {
	records, _, err := store.ListJSON[nic.Drain](ctx, m.opts.Store, drainPrefix, "", 0)
	if err != nil {
		return fmt.Errorf("list drains: %w", err)
	}
	var errs []error
	for _, r := range records {
		if r.Value.Phase == nic.DrainMoving || slices.ContainsFunc(r.Value.Containers, underWay) {
			errs = append(errs, m.drainOne(ctx, r))
		}
	}
	return errors.Join(errs...)
}

// drainOne brings the record of a drain up to date and begins what moves it may.
func (m *Mover) drainOne(ctx context.Context, r store.JSON[nic.Drain]) error {
	d := &draining{m: m, Drain: r.Value, rev: r.Rev}
	d.Containers = slices.Clone(d.Containers) // as it was is compared in the end
	moves, err := m.Moves(ctx)
	if err != nil {
		return err
	}
	claims, err := m.opts.Claims.OnNode(ctx, d.Node)
	if err != nil {
		return fmt.Errorf("list the claims on %s: %w", d.Node, err)
	}
	d.follow(moves)
	if d.Phase.Over() {
		return d.save(ctx, r.Value)
	}
	d.count(claims, moves)
	if d.stops(); d.Phase == nic.DrainMoving {
		if err := d.more(ctx); err != nil {
			return errors.Join(err, d.save(ctx, r.Value))
		}
		d.ends()
	}
	return d.save(ctx, r.Value)
}

// underWay: its move is not over, and may be so without this drain.
func underWay(c nic.DrainedContainer) bool { return c.Move != "" && !c.State.Over() }

// A draining is one look at a drain.
type draining struct {
	m *Mover
	nic.Drain
	rev     store.Rev
	there   map[string][]nic.Claim // containers on the node that are on no move, by name
	running int                    // moves that are under way from the node
}

// entry is what the record says of a container, made if there is nothing.
func (d *draining) entry(container string) *nic.DrainedContainer {
	i := slices.IndexFunc(d.Containers, func(c nic.DrainedContainer) bool { return c.Container == container })
	if i < 0 {
		d.Containers = append(d.Containers, nic.DrainedContainer{Container: container})
		slices.SortFunc(d.Containers, func(a, b nic.DrainedContainer) int { return strings.Compare(a.Container, b.Container) })
		return d.entry(container)
	}
	return &d.Containers[i]
}

// follow notes what became of the moves. A move of the node that the record does
// not have is one that was begun when the controller ended, or by somebody else.
func (d *draining) follow(moves []nic.Move) {
	for _, move := range moves {
		if move.From != d.Node || move.Kind != nic.MoveContainer {
			continue
		}
		open := !move.Phase.Over() && move.Phase != nic.MoveParked
		if open {
			d.running++
		}
		mine := slices.ContainsFunc(d.Containers, func(c nic.DrainedContainer) bool { return c.Move == move.ID })
		if !mine && !open {
			continue
		}
		e := d.entry(move.Container)
		e.Move, e.To, e.State, e.Why, e.Refusals = move.ID, move.To, move.Phase, move.Why, nil
	}
}

// count notes the containers that are on the node and on no move.
func (d *draining) count(claims []nic.Claim, moves []nic.Move) {
	moving := map[nic.ClaimID]bool{}
	for _, move := range moves {
		if !move.Phase.Over() {
			for _, c := range move.Claims {
				moving[c] = true
			}
		}
	}
	d.there = map[string][]nic.Claim{}
	for _, c := range claims {
		if c.Phase != nic.ClaimReleasing && !moving[c.ID] {
			d.there[c.Container] = append(d.there[c.Container], c)
			d.entry(c.Container)
		}
	}
	d.Containers = slices.DeleteFunc(d.Containers, func(c nic.DrainedContainer) bool {
		return c.Move == "" && d.there[c.Container] == nil // it has gone by itself
	})
}

// stops ends the drain at the first move that has not succeeded.
func (d *draining) stops() {
	for _, c := range d.Containers {
		if d.Request.KeepGoing || c.State != nic.MoveUndone && c.State != nic.MoveParked {
			continue
		}
		d.Phase, d.Why = nic.DrainStopped, fmt.Sprintf("the move of %s to %s is %s (%s): %s", c.Container, c.To, c.State, c.Move, c.Why)
		return
	}
}

// more begins moves as long as there are some to begin.
func (d *draining) more(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(d.there)) {
		if d.running >= d.Request.MaxParallel {
			return nil
		}
		e := d.entry(name)
		if len(e.Refusals) > 0 || e.State == nic.MoveUndone || e.State == nic.MoveParked {
			continue
		}
		move, err := d.m.send(ctx, d.Drain, d.there[name])
		if refusals := nic.AsMoveRefusals(err); refusals != nil {
			*e = nic.DrainedContainer{Container: name, Refusals: refusals}
			continue
		}
		if err != nil {
			return fmt.Errorf("move %s away from %s: %w", name, d.Node, err)
		}
		*e = nic.DrainedContainer{Container: name, Move: move.ID, To: move.To, State: move.Phase}
		delete(d.there, name)
		d.running++
	}
	return nil
}

// ends the drain when nothing is left to do.
func (d *draining) ends() {
	if d.running > 0 {
		return
	}
	var left []string
	for _, c := range d.Containers {
		if c.State != nic.MoveDone {
			left = append(left, c.Container)
		}
	}
	if len(left) > 0 {
		d.Phase, d.Why = nic.DrainStopped, fmt.Sprintf("%d containers stay on %s: %s", len(left), d.Node, some(left))
		return
	}
	d.Phase = nic.DrainDone
}

// save stores the record if something has changed in it. Somebody may have changed
// what is asked meanwhile: then the next look goes by that.
func (d *draining) save(ctx context.Context, was nic.Drain) error {
	if d.Phase.Over() && d.Ended.IsZero() {
		d.Ended = time.Now().UTC()
	}
	before, err := store.CreateJSON(drainKey(d.Node), was)
	if err != nil {
		return err
	}
	op, err := store.UpdateJSON(drainKey(d.Node), d.Drain, d.rev)
	if err != nil || string(op.Value) == string(before.Value) {
		return err
	}
	if _, err := d.m.opts.Store.Commit(ctx, op, d.m.term.Check()); err != nil {
		if errors.Is(err, store.ErrConflict) {
			d.m.wakeDrains()
			return nil
		}
		return fmt.Errorf("store the drain of %s: %w", d.Node, err)
	}
	switch {
	case d.Phase == was.Phase:
	case d.Phase == nic.DrainStopped:
		d.m.tellDrain(d.Drain, newsStopped, d.Why, api.EventWarning)
	case d.Phase == nic.DrainDone:
		d.m.tellDrain(d.Drain, newsDrained, "no container with a NIC of ours is there any more", api.EventNormal)
	}
	return nil
}
