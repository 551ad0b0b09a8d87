package migrate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// Plan says what a move would do. Reasons against it are in the plan, and no
// error. It asks both nodes, which takes seconds if one does not answer.
func (m *Mover) Plan(ctx context.Context, request nic.MoveRequest) (nic.MovePlan, error) {
	facts, err := m.gather(ctx, m.plans, request)
	if err != nil {
		return nic.MovePlan{}, err
	}
	return NewPlan(facts), nil
}

// Begin stores a move that then goes on by itself. Reasons against it are
// nic.MoveRefusals, all at once. A container that moves already by the same
// request: that move.
func (m *Mover) Begin(ctx context.Context, request nic.MoveRequest) (nic.Move, error) {
	return m.start(ctx, request, false)
}

// start is Begin; drain says that nobody asked for this one move.
func (m *Mover) start(ctx context.Context, request nic.MoveRequest, drain bool) (nic.Move, error) {
	facts, err := m.gather(ctx, m.begins, request)
	if err != nil {
		return nic.Move{}, err
	}
	plan := NewPlan(facts)
	if running, err := m.same(ctx, plan.Request, facts.Claims); err != nil || running.ID != "" {
		return running, err
	}
	if err := nic.MoveRefusals(plan.Refusals).Err(); err != nil {
		return nic.Move{}, err
	}
	move := NewMove(nic.NewMoveID(), facts, plan, time.Now().UTC())
	move.Drain = drain
	if err := m.create(ctx, move); err != nil {
		return nic.Move{}, err
	}
	n := news{m: m, move: move}
	n.add(slog.LevelInfo, newsBegun, "it begins")
	return move, nil
}

// create stores a move if none of its claims is on another.
func (m *Mover) create(ctx context.Context, move nic.Move) error {
	op, err := store.CreateJSON(moveKey(move.ID), move)
	if err != nil {
		return err
	}
	ops := []store.Op{op}
	for _, c := range move.Claims {
		op, err := store.CreateJSON(openKey(c), move.ID)
		if err != nil {
			return err
		}
		ops = append(ops, op)
	}
	_, err = m.opts.Store.Commit(ctx, ops...)
	if errors.Is(err, store.ErrConflict) {
		return m.taken(ctx, move, err)
	}
	if err != nil {
		return fmt.Errorf("store a move of %s: %w", move.Container, err)
	}
	return nil
}

// taken is the refusal of a move whose claims are on another.
func (m *Mover) taken(ctx context.Context, move nic.Move, conflict error) error {
	for _, c := range move.Claims {
		if of, err := m.openOf(ctx, c); err == nil && of != "" {
			return nic.MoveRefusals{{
				About: "claim", Why: fmt.Sprintf("claim %s is on a move already, %s", c, of), Remedy: "watch it: nicferry describe move " + string(of),
			}}
		}
	}
	return fmt.Errorf("store a move of %s: %w", move.Container, conflict)
}

// same is the open move of the claims that was begun by the same request; the zero
// move if there is none.
func (m *Mover) same(ctx context.Context, request nic.MoveRequest, claims []nic.Claim) (nic.Move, error) {
	for _, c := range claims {
		id, err := m.openOf(ctx, c.ID)
		if err != nil {
			return nic.Move{}, err
		}
		if id == "" {
			continue
		}
		move, _, err := m.get(ctx, id)
		if err != nil {
			return nic.Move{}, err
		}
		if move.Kind == request.Kind && move.To == request.To && move.Target == request.Target && move.Options == request.Options {
			return move, nil
		}
	}
	return nic.Move{}, nil
}
