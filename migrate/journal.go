package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/migrate/saga"
	"github.com/nicferry/nicferry/nic"
)

// A journal is the record of a move that this Mover runs. Nobody else writes it.
type journal struct {
	m    *Mover
	term store.Term

	mu    sync.Mutex // guards what follows
	move  nic.Move
	rev   store.Rev
	asked ask // what an operator wants; it is forgotten once it is so
	askAt store.Rev
	tried time.Time // when the try at work began
}

// open reads the record of a move, and what is asked of it.
func (m *Mover) open(ctx context.Context, term store.Term, id nic.MoveID) (*journal, error) {
	move, rev, err := m.get(ctx, id)
	if err != nil {
		return nil, err
	}
	asked, askAt, err := m.asked(ctx, id)
	if err != nil {
		return nil, err
	}
	return &journal{m: m, term: term, move: move, rev: rev, asked: asked, askAt: askAt, tried: time.Now()}, nil
}

// Move is that of Journal.
func (j *journal) Move() nic.Move {
	j.mu.Lock()
	defer j.mu.Unlock()
	return clone(j.move)
}

// Note is that of Journal. It is tried again until ctx ends.
func (j *journal) Note(ctx context.Context, change func(*nic.Move)) error {
	wait := retry.Backoff{First: 100 * time.Millisecond, Max: 10 * time.Second}
	for {
		err := j.write(ctx, change)
		if err == nil || errors.Is(err, saga.ErrFenced) {
			return err
		}
		if ended := retry.Sleep(ctx, wait.Next()); ended != nil {
			return errors.Join(ended, err)
		}
	}
}

// Save is that of saga.Journal.
func (j *journal) Save(ctx context.Context, state *nic.Move, at saga.Position) error {
	err := j.write(ctx, func(m *nic.Move) { place(m, at) })
	if err == nil {
		*state = j.Move()
	}
	return err
}

// write changes the record, and tells what is new once that is stored.
func (j *journal) write(ctx context.Context, change func(*nic.Move)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	was, now := j.move, clone(j.move)
	change(&now)
	if now.Phase.Over() && now.Ended.IsZero() {
		now.Ended = time.Now().UTC()
	}
	if err := j.commit(ctx, was, now); err != nil {
		return err
	}
	j.m.tell(was, now, j.tried)
	if fresh(was, now) {
		j.tried = time.Now()
	}
	return nil
}

// commit stores the record, and what goes with its phase. The caller holds the
// lock.
func (j *journal) commit(ctx context.Context, was, now nic.Move) error {
	data, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("encode move %s: %w", now.ID, err)
	}
	ops := []store.Op{store.Update(moveKey(now.ID), data, j.rev), j.term.Check()}
	answered := j.askAt != 0 && (now.Phase == j.asked.Way || now.Phase == nic.MoveFinishing || now.Phase.Over())
	if answered {
		ops = append(ops, store.Delete(askKey(now.ID), j.askAt))
	}
	if now.Phase.Over() && !was.Phase.Over() {
		closes, err := j.m.closeOps(ctx, now)
		if err != nil {
			return err
		}
		ops = append(ops, closes...)
	}
	rev, err := j.m.opts.Store.Commit(ctx, ops...)
	if errors.Is(err, store.ErrConflict) {
		rev, err = j.conflict(ctx, data, err)
	}
	if err != nil {
		return err
	}
	j.move, j.rev = now, rev
	if answered {
		j.asked, j.askAt = ask{}, 0
	}
	return nil
}

// conflict finds out what has changed: what is asked, which is read anew for the
// next try, or the record. Then an earlier try was stored after all, or somebody
// else writes it by now.
func (j *journal) conflict(ctx context.Context, data []byte, err error) (store.Rev, error) {
	rec, getErr := j.m.opts.Store.Get(ctx, moveKey(j.move.ID))
	if getErr != nil && !errors.Is(getErr, store.ErrNotFound) {
		return 0, getErr
	}
	if rec.Rev != j.rev && bytes.Equal(rec.Value, data) {
		return rec.Rev, nil
	}
	var of *store.ConflictError
	if rec.Rev == j.rev && errors.As(err, &of) && of.Key == askKey(j.move.ID) {
		asked, at, askErr := j.m.asked(ctx, j.move.ID)
		if askErr == nil {
			j.asked, j.askAt = asked, at
		}
		return 0, errors.Join(err, askErr)
	}
	return 0, fmt.Errorf("%w: %w", saga.ErrFenced, err)
}

// hear reads what is asked anew.
func (j *journal) hear(ctx context.Context) (ask, error) {
	asked, at, err := j.m.asked(ctx, j.Move().ID)
	if err != nil {
		return ask{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked, j.askAt = asked, at
	return asked, nil
}

// closeOps free a move's claims for others.
func (m *Mover) closeOps(ctx context.Context, move nic.Move) ([]store.Op, error) {
	var ops []store.Op
	for _, c := range move.Claims {
		of, rev, err := store.GetJSON[nic.MoveID](ctx, m.opts.Store, openKey(c))
		if errors.Is(err, store.ErrNotFound) || err == nil && of != move.ID {
			continue
		}
		if err != nil {
			return nil, err
		}
		ops = append(ops, store.Delete(openKey(c), rev))
	}
	return ops, nil
}

// place puts where a saga is into its record.
func place(m *nic.Move, at saga.Position) {
	m.Phase, m.Why, m.Remedy = nic.MovePhase(at.Phase), clip(at.Why), at.Remedy
	if m.Phase == nic.MoveParked && m.Remedy == "" {
		m.Remedy = remedy(*m)
	}
	for i, mark := range at.Marks {
		s := &m.Steps[i]
		s.State, s.Began, s.Ended = nic.MoveStepState(mark.State), mark.Began.UTC(), mark.Ended
		s.Tries, s.Error = mark.Tries, clip(mark.Error)
		if !s.Ended.IsZero() {
			s.Ended = s.Ended.UTC()
		}
	}
}

// position is where the record says that its saga is.
func position(m nic.Move) saga.Position {
	at := saga.Position{Phase: saga.Phase(m.Phase), Why: m.Why, Remedy: m.Remedy}
	for _, s := range m.Steps {
		at.Marks = append(at.Marks, saga.Mark{
			Name: s.Name, State: saga.StepState(s.State), Began: s.Began, Ended: s.Ended, Tries: s.Tries, Error: s.Error,
		})
	}
	return at
}

// clip bounds what others wrote, as records are small.
func clip(text string) string {
	const most = 2 << 10
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// clone is a copy that has nothing in common with the record.
func clone(m nic.Move) nic.Move {
	data, err := json.Marshal(m)
	var c nic.Move
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		panic(fmt.Sprintf("copy a move's record: %v", err)) // plain data, which was read as JSON
	}
	return c
}
