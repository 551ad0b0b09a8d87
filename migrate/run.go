package migrate

import (
	"context"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/migrate/saga"
	"github.com/nicferry/nicferry/nic"
)

// bare is for logging alone.
var bare = context.Background()

// A run is one open move at work.
type run struct {
	journal *journal
	saga    *saga.Saga[nic.Move]
}

// begin makes the run of a move, or returns nil if there is nothing to do: it is
// over, or parked and nobody asks anything of it.
func (m *Mover) begin(ctx context.Context, term store.Term, id nic.MoveID) (*run, error) {
	j, err := m.open(ctx, term, id)
	if err != nil {
		return nil, err
	}
	move := j.Move()
	if move.Phase.Over() {
		return nil, m.forgetAsk(ctx, j)
	}
	at := position(move)
	if move.Phase == nic.MoveParked {
		if j.asked.Way == "" {
			m.park(ctx, move, move.Why)
			return nil, nil
		}
		if err := at.Resume(saga.Phase(j.asked.Way)); err != nil {
			return nil, err
		}
		// What was asked is so from here on: if the move is parked again before any step
		// is another, it can be asked again.
		if err := j.Save(ctx, &move, at); err != nil {
			return nil, err
		}
		m.park(ctx, move, "")
	}
	state := &move
	s, err := saga.New(saga.Options[nic.Move]{Steps: m.opts.Steps(m.opts.Parts, j), Journal: j, State: state, At: at})
	if err != nil {
		return nil, m.cannot(ctx, j, err)
	}
	if j.asked.Way == nic.MoveBack {
		s.Abort(aborted)
	}
	return &run{journal: j, saga: s}, nil
}

// aborted is why a move goes back that an operator has ended.
const aborted = "an operator has aborted it"

// cannot shows that this release does not have a move's steps. The move stays where
// it is, as which way it may go depends on them, until a controller starts that has.
func (m *Mover) cannot(ctx context.Context, j *journal, why error) error {
	if j.Move().Why == why.Error() {
		return nil // it is written that it stands still; each writing wakes it
	}
	err := j.Note(ctx, func(move *nic.Move) { move.Why = why.Error() })
	if err == nil {
		m.log(j.Move()).Error("a move stands still", "error", why)
		m.park(ctx, j.Move(), why.Error())
	}
	return err
}

// forgetAsk drops what was asked of a move too late.
func (m *Mover) forgetAsk(ctx context.Context, j *journal) error {
	if j.askAt == 0 {
		return nil
	}
	_, err := m.opts.Store.Commit(ctx, store.Delete(askKey(j.move.ID), j.askAt), j.term.Check())
	return err
}

// carryOut runs a move until it is over or parked, or ctx ends.
func (m *Mover) carryOut(ctx context.Context, r *run) error {
	at, err := r.saga.Run(ctx)
	if err != nil {
		return err
	}
	move := r.journal.Move()
	if at.Phase == saga.Parked {
		m.park(ctx, move, move.Why)
		return nil
	}
	if err := m.opts.Orders.Forget(ctx, move.ID); err != nil {
		m.log(move).Warn("orders of a move that is over were not dropped; this is tried again when its record is", "error", err)
	}
	return nil
}

// park shows on the claims why their move can go neither way, or with "" that it
// goes on. It is for people, so that a failure of it holds up nothing for long.
func (m *Mover) park(ctx context.Context, move nic.Move, why string) {
	wait := retry.Backoff{First: 100 * time.Millisecond, Max: time.Second}
	var err error
	for range 5 {
		if err = m.opts.Claims.ParkMove(ctx, move.ID, move.Claims, why); err == nil || ctx.Err() != nil {
			return
		}
		if retry.Sleep(ctx, wait.Next()) != nil {
			return
		}
	}
	m.log(move).Warn("the claims of a move do not show whether it is parked", "error", err)
}

// remedy says how a parked move is led on, where its step says nothing of its own.
func remedy(move nic.Move) string {
	return fmt.Sprintf("nicferry migrate --resume %s, or --abort %s", move.ID, move.ID)
}
