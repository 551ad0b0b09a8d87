package vmagent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// followController holds one session after the other, until ctx ends or a
// newer agent has taken over. An unreachable controller costs time and nothing
// else: containers keep their NICs.
func (a *Agent) followController(ctx context.Context) error {
	backoff := retry.Backoff{First: time.Second, Max: 10 * time.Second}
	for {
		err := a.holdSession(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case a.opts.Superseded(err):
			return ErrSuperseded
		}
		a.opts.Log.Warn("session lost, beginning another", "err", err)
		if err := retry.Sleep(ctx, backoff.Next()); err != nil {
			return err
		}
	}
}

// holdSession keeps the wishes up to date and sends reports, until ctx or the
// session ends.
func (a *Agent) holdSession(ctx context.Context) error {
	session, err := a.hello(ctx)
	if err != nil {
		return err
	}
	a.contact.made()
	defer func() { a.contact.lost(nil) }()
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() { cancel(a.report.run(ctx, session)) })
	wg.Go(func() { a.takeCensuses(ctx) })
	wg.Go(func() { cancel(a.askAfresh(ctx, session)) })
	wg.Go(func() { cancel(a.opts.Orders.Follow(ctx, session)) })
	rev, err := a.refresh(ctx, session)
	if err != nil {
		return err
	}
	err = a.opts.Controller.Watch(ctx, a.opts.Node, rev, func(uint64) {
		a.opts.Orders.Wake()
		if _, err := a.refresh(ctx, session); err != nil {
			cancel(err)
		}
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// hello begins a session, however long the controller takes to answer.
func (a *Agent) hello(ctx context.Context) (session uint64, err error) {
	backoff := retry.Backoff{First: 100 * time.Millisecond, Max: 10 * time.Second}
	for {
		inventory := a.opts.Inventory
		inventory.Cards = a.lookAtCards()
		node, err := a.opts.Controller.Hello(ctx, a.opts.Node, inventory)
		if err == nil {
			a.report.cardsKnown(inventory.Cards)
			a.opts.Log.Info("session begun", "node", node.Name, "session", node.Session)
			return node.Session, nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		a.contact.lost(err)
		if a.opts.Refused(err) {
			a.opts.Log.Warn("controller refuses this node, containers keep their NICs", "err", err)
		} else {
			a.opts.Log.Warn("controller does not answer, containers keep their NICs", "err", err)
		}
		if err := retry.Sleep(ctx, backoff.Next()); err != nil {
			return 0, err
		}
	}
}

// refreshDeadline is how long a session asks in vain what is wanted. After it a
// new one begins, whose hello waits: a controller that has forgotten the node,
// or was replaced, has to be told of it anew.
const refreshDeadline = 30 * time.Second

// refresh reads what is wanted and wakes the workers of what has changed. It
// returns the revision that was read, and an error only if the session is over.
// An older list never replaces a newer one.
func (a *Agent) refresh(ctx context.Context, session uint64) (uint64, error) {
	a.asking.Lock()
	defer a.asking.Unlock()
	backoff := retry.Backoff{First: 50 * time.Millisecond, Max: 5 * time.Second}
	for since := time.Now(); ; {
		wanted, rev, err := a.opts.Controller.Wanted(ctx, a.opts.Node, session)
		if err == nil {
			a.report.keepOnly(wanted)
			a.wake(a.wishes.replace(wanted))
			a.wishes.said()
			if err := errors.Join(a.cache.saveWanted(wanted), a.cache.keepHomes(wanted)); err != nil {
				a.opts.Log.Warn("cache not written", "err", err)
			}
			a.censuses.ask(rev)
			return rev, nil
		}
		if ctx.Err() != nil || a.opts.Superseded(err) {
			return 0, err
		}
		if time.Since(since) > refreshDeadline {
			return 0, fmt.Errorf("ask for %s what is wanted: %w", refreshDeadline, err)
		}
		a.opts.Log.Warn("controller does not say what is wanted, will ask again", "err", err)
		if err := retry.Sleep(ctx, backoff.Next()); err != nil {
			return 0, err
		}
	}
}
