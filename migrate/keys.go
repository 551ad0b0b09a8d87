package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// The records of moves. The store's other rooms have other prefixes.
const (
	movePrefix  = "move/"      // + ID: nic.Move, written by the leading Mover alone once it is there
	askPrefix   = "moveask/"   // + ID: an ask, what an operator wants of a move
	openPrefix  = "moveclaim/" // + ID of a claim: the id of its open move
	drainPrefix = "drain/"     // + node: nic.Drain
)

func moveKey(id nic.MoveID) string  { return movePrefix + string(id) }
func askKey(id nic.MoveID) string   { return askPrefix + string(id) }
func openKey(id nic.ClaimID) string { return openPrefix + string(id) }
func drainKey(node string) string   { return drainPrefix + node }
func knows(schema int, what string) error {
	if schema > nic.Schema {
		return fmt.Errorf("%s was written by a newer release: go back to that one", what)
	}
	return nil
}

// An ask is what an operator wants of a move that is not over.
type ask struct {
	Schema int           `json:"schema"`
	Way    nic.MovePhase `json:"way"` // MoveForward or MoveBack
}

// Moves returns all moves that are kept, oldest first.
func (m *Mover) Moves(ctx context.Context) ([]nic.Move, error) {
	records, _, err := store.ListJSON[nic.Move](ctx, m.opts.Store, movePrefix, "", 0)
	if err != nil {
		return nil, fmt.Errorf("list moves: %w", err)
	}
	moves := make([]nic.Move, len(records))
	for i, r := range records {
		moves[i] = r.Value
	}
	slices.SortStableFunc(moves, func(a, b nic.Move) int { return a.Created.Compare(b.Created) })
	return moves, nil
}

// Move returns one and its revision; ErrNotFound if none is kept.
func (m *Mover) Move(ctx context.Context, id nic.MoveID) (nic.Move, uint64, error) {
	move, rev, err := m.get(ctx, id)
	return move, uint64(rev), err
}

func (m *Mover) get(ctx context.Context, id nic.MoveID) (nic.Move, store.Rev, error) {
	move, rev, err := store.GetJSON[nic.Move](ctx, m.opts.Store, moveKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return nic.Move{}, 0, fmt.Errorf("move %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return nic.Move{}, 0, fmt.Errorf("read move %s: %w", id, err)
	}
	return move, rev, knows(move.Schema, "move "+string(id))
}

// WaitMove returns it as soon as its revision is not after any more, or else ctx's
// error.
func (m *Mover) WaitMove(ctx context.Context, id nic.MoveID, after uint64) (nic.Move, uint64, error) {
	for {
		move, rev, err := m.get(ctx, id)
		if err != nil || uint64(rev) != after {
			return move, uint64(rev), err
		}
		err = m.changed(ctx, moveKey(id), rev)
		if ctx.Err() != nil {
			return nic.Move{}, 0, ctx.Err()
		}
		if err != nil && !errors.Is(err, store.ErrCompacted) {
			return nic.Move{}, 0, fmt.Errorf("watch move %s: %w", id, err)
		}
	}
}

// changed waits until something has been written to a record after a revision.
func (m *Mover) changed(ctx context.Context, key string, rev store.Rev) error {
	records, now, err := m.opts.Store.List(ctx, key, "", 1)
	if err != nil || len(records) == 0 || records[0].Rev != rev {
		return err
	}
	watch, err := m.opts.Store.Watch(ctx, key, now)
	if err != nil {
		return err
	}
	defer watch.Close()
	_, err = watch.Next(ctx)
	return err
}

// openOf is the open move of a claim; empty if there is none.
func (m *Mover) openOf(ctx context.Context, id nic.ClaimID) (nic.MoveID, error) {
	of, _, err := store.GetJSON[nic.MoveID](ctx, m.opts.Store, openKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the move of claim %s: %w", id, err)
	}
	return of, nil
}

// asked is what an operator wants of a move; the zero ask if nothing.
func (m *Mover) asked(ctx context.Context, id nic.MoveID) (ask, store.Rev, error) {
	a, rev, err := store.GetJSON[ask](ctx, m.opts.Store, askKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return ask{}, 0, nil
	}
	if err != nil {
		return ask{}, 0, fmt.Errorf("read what is asked of move %s: %w", id, err)
	}
	return a, rev, nil
}
