package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// Resume has a parked move go on forward from the first step that is not done. One
// that goes on or back already, or is done: no error. One that is undone:
// ErrRefused.
func (m *Mover) Resume(ctx context.Context, id nic.MoveID) (nic.Move, error) {
	return m.ask(ctx, id, func(move nic.Move) (nic.MovePhase, error) {
		switch move.Phase {
		case nic.MoveParked:
			return nic.MoveForward, nil
		case nic.MoveUndone:
			return "", fmt.Errorf("move %s is undone, %s is on %s: begin another one: %w", id, move.Container, move.From, ErrRefused)
		}
		return "", nil
	})
}

// Abort has a move go back. One that goes back already or is undone: no error. One
// beyond its pivot: ErrRefused. It may still turn out to have been too late: the
// record says which way the move goes.
func (m *Mover) Abort(ctx context.Context, id nic.MoveID) (nic.Move, error) {
	return m.ask(ctx, id, func(move nic.Move) (nic.MovePhase, error) {
		switch move.Phase {
		case nic.MoveForward, nic.MoveParked:
			return nic.MoveBack, nil
		case nic.MoveFinishing, nic.MoveDone:
			return "", fmt.Errorf("move %s has no way back any more: %s is on %s; to have it back, move it again: %w", id, move.Container, move.To, ErrRefused)
		}
		return "", nil
	})
}

// ask stores what is wanted of a move, for the one who runs it.
func (m *Mover) ask(ctx context.Context, id nic.MoveID, decide func(nic.Move) (nic.MovePhase, error)) (nic.Move, error) {
	for range maxRounds {
		move, _, err := m.get(ctx, id)
		if err != nil {
			return nic.Move{}, err
		}
		way, err := decide(move)
		if err != nil || way == "" {
			return move, err
		}
		asked, rev, err := m.asked(ctx, id)
		if err != nil || asked.Way == way {
			return move, err
		}
		op, err := store.UpdateJSON(askKey(id), ask{Schema: nic.Schema, Way: way}, rev)
		if err != nil {
			return nic.Move{}, err
		}
		_, err = m.opts.Store.Commit(ctx, op)
		if err == nil {
			return move, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nic.Move{}, fmt.Errorf("store what is asked of move %s: %w", id, err)
		}
	}
	return nic.Move{}, fmt.Errorf("ask something of move %s: gave up after %d rounds", id, maxRounds)
}

// maxRounds bounds how often a change is decided again because somebody else was
// quicker.
const maxRounds = 50
