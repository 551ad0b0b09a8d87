package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/keyed"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// A Mover carries out moves, and drains nodes. Its methods keep what is asked in
// the store, and may be called in any controller; Run does the work in the one
// that leads.
type Mover struct {
	opts   Options
	queue  *keyed.Queue
	drains chan struct{} // has one in it when drains are to be looked at
	plans  chan struct{} // has one in it for each plan that is being made for who only looks
	begins chan struct{} // and for each move that is about to begin

	mu   sync.Mutex // guards what follows
	term store.Term
	runs map[nic.MoveID]*run
}

const (
	// movesAtOnce bounds how many moves are at work; more wait for their turn. One
	// beyond its pivot is at work until its source node is back.
	movesAtOnce = 256
	// plansAtOnce bounds how many plans are made of either kind, each of which gives
	// nodes orders: who may only look must not keep others from moving anything.
	plansAtOnce = 8
)

// New makes a Mover.
func New(opts Options) (*Mover, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	m := &Mover{opts: opts, drains: make(chan struct{}, 1), plans: make(chan struct{}, plansAtOnce), begins: make(chan struct{}, plansAtOnce), runs: map[nic.MoveID]*run{}}
	m.queue = keyed.New(keyed.Options{Work: m.work, Workers: movesAtOnce, Log: opts.Log, About: func(id string) []any {
		return []any{"move", id}
	}})
	return m, nil
}

// leaderName is what the one Mover at work leads under.
const leaderName = "moves"

// Run leads until ctx ends: it goes on with all moves that are not over, and works
// on drains. It returns early only if leadership or the store is lost.
func (m *Mover) Run(ctx context.Context) error {
	err := m.lead(ctx)
	if ctx.Err() != nil {
		return nil // whatever broke off, broke off because of that
	}
	return err
}

func (m *Mover) lead(ctx context.Context) error {
	term, err := m.opts.Store.Lead(ctx, leaderName)
	if err != nil {
		return fmt.Errorf("become the leader of moves: %w", err)
	}
	defer term.Resign(context.WithoutCancel(ctx))
	m.mu.Lock()
	m.term = term
	m.mu.Unlock()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		select {
		case <-term.Lost():
			return errors.New("the leadership of moves is lost")
		case <-ctx.Done():
			return nil
		}
	})
	group.Go(func() error { m.queue.Run(ctx); return nil })
	group.Go(func() error { return m.follow(ctx) })
	group.Go(func() error { m.drainNodes(ctx); return nil })
	group.Go(func() error { m.prune(ctx); return nil })
	return group.Wait()
}

// work goes on with one move.
func (m *Mover) work(ctx context.Context, key string) (time.Duration, error) {
	id := nic.MoveID(key)
	m.mu.Lock()
	term := m.term
	m.mu.Unlock()
	r, err := m.begin(ctx, term, id)
	if err != nil || r == nil {
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		return 0, err
	}
	m.mu.Lock()
	m.runs[id] = r
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.runs, id)
		m.mu.Unlock()
		m.wakeDrains()
	}()
	// What was asked since begin read it is heard now, or by who asked.
	if err := m.hear(ctx, id); err != nil {
		return 0, err
	}
	if err := m.carryOut(ctx, r); err != nil && ctx.Err() == nil {
		return 0, err
	}
	return 0, nil
}

// hear tells a move at work what is asked of it.
func (m *Mover) hear(ctx context.Context, id nic.MoveID) error {
	m.mu.Lock()
	r := m.runs[id]
	m.mu.Unlock()
	if r == nil {
		return nil
	}
	asked, err := r.journal.hear(ctx)
	if err == nil && asked.Way == nic.MoveBack {
		r.saga.Abort(aborted)
	}
	return err
}

func (m *Mover) wakeDrains() {
	select {
	case m.drains <- struct{}{}:
	default:
	}
}
