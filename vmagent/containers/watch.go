//go:build linux

package containers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// Waits between tries to follow the engine.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// Watch says what to look at again, until ctx ends: wake names a container that
// something happened to, and resync asks for a look at all of them, after every
// (re)subscription, when events may have been missed, and every Options.Resync.
// A lost stream means nothing for the containers: they may well go on.
//
// The calls come one at a time, from one goroutine, and may take their time.
// The engine is not kept waiting meanwhile: it would drop events without a word
// for a reader that is slow, and slow down itself.
func (e *Engine) Watch(ctx context.Context, wake func(id string), resync func()) {
	backoff := retry.Backoff{First: firstRetry, Max: lastRetry}
	lost := false
	subscribed := func() {
		if lost {
			e.opts.Log.Info("follow Docker's events again")
		}
		lost = false
		backoff.Reset()
		resync()
	}
	for {
		err := e.watchOnce(ctx, subscribed, wake, resync)
		if ctx.Err() != nil {
			return
		}
		wait := backoff.Next()
		level := slog.LevelWarn
		if lost {
			level = slog.LevelDebug // said once is enough
		}
		lost = true
		e.opts.Log.Log(ctx, level, "lost Docker's events", "err", err, "retry", wait)
		if retry.Sleep(ctx, wait) != nil {
			return
		}
	}
}

// watchOnce follows one stream of events to its end.
func (e *Engine) watchOnce(ctx context.Context, subscribed func(), wake func(string), resync func()) error {
	ctx, cancel := context.WithCancel(ctx)
	w := newWakes()
	ready := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- e.api.follow(ctx, func() { close(ready) }, w.add) }()
	done := false
	defer func() {
		cancel()
		if !done {
			<-ended
		}
	}()

	limit := time.NewTimer(e.opts.Timeout)
	defer limit.Stop()
	select {
	case <-ready:
	case err := <-ended:
		done = true
		return err
	case <-limit.C:
		return fmt.Errorf("subscribe to Docker's events: %w: no answer within %s", ErrNoEngine, e.opts.Timeout)
	}
	// A stream that could not be opened may look open for a moment.
	if err := e.Ping(ctx); err != nil {
		return err
	}
	subscribed()

	tick := time.NewTicker(e.opts.Resync)
	defer tick.Stop()
	for {
		select {
		case <-w.ready:
			w.deliver(wake, resync)
		case <-tick.C:
			resync()
		case err := <-ended:
			done = true
			w.deliver(wake, resync) // rather now than after the next subscription
			return errors.Join(err, ctx.Err())
		}
	}
}

// Ping returns an error when the engine does not answer in time.
func (e *Engine) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	return e.api.ping(ctx)
}
