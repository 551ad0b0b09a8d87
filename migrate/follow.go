package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// follow wakes what is to be worked on: all at first, then what changes.
func (m *Mover) follow(ctx context.Context) error {
	wait := retry.Backoff{First: 100 * time.Millisecond, Max: 5 * time.Second}
	for {
		err := m.followFromNow(ctx, wait.Reset)
		if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
			return err
		}
		if !errors.Is(err, store.ErrCompacted) {
			m.opts.Log.Warn("moves are not followed; this is tried again", "error", err)
		}
		if retry.Sleep(ctx, wait.Next()) != nil {
			return nil
		}
	}
}

// watched is what the keys of moves and of what is asked of them begin with.
const watched = "move"

func (m *Mover) followFromNow(ctx context.Context, well func()) error {
	records, rev, err := m.opts.Store.List(ctx, watched, "", 0)
	if err != nil {
		return fmt.Errorf("list moves: %w", err)
	}
	for _, r := range records {
		if err := m.see(ctx, store.Event{Record: r}, true); err != nil {
			return err
		}
	}
	m.wakeDrains()
	watch, err := m.opts.Store.Watch(ctx, watched, rev)
	if err != nil {
		return fmt.Errorf("watch moves: %w", err)
	}
	defer watch.Close()
	well()
	for {
		events, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := m.see(ctx, e, false); err != nil {
				return err
			}
		}
	}
}

// see wakes what one record is about. A parked move is woken at first alone, so
// that its claims show it.
func (m *Mover) see(ctx context.Context, e store.Event, first bool) error {
	if id, ok := strings.CutPrefix(e.Key, askPrefix); ok && !e.Gone {
		m.queue.Wake(id)
		return m.hear(ctx, nic.MoveID(id))
	}
	id, ok := strings.CutPrefix(e.Key, movePrefix)
	if !ok || e.Gone || m.atWork(nic.MoveID(id)) {
		return nil
	}
	move, err := store.DecodeJSON[nic.Move](e.Record)
	if err != nil {
		m.opts.Log.Error("a move cannot be read, and is left as it is", "move", id, "error", err)
		return nil
	}
	if !move.Phase.Over() && (first || move.Phase != nic.MoveParked) {
		m.queue.Wake(id)
	}
	return nil
}

func (m *Mover) atWork(id nic.MoveID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs[id] != nil
}
