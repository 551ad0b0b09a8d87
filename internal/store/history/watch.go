package history

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/nicferry/nicferry/internal/store"
)

// batch is how many events end one call of Next, give or take one commit.
const batch = 1024

// A Watch is a store.Watch. It is a place in the log, not a goroutine.
type Watch struct {
	log    *Log
	prefix string
	at     store.Rev // read up to here; guarded by log.mu
	once   sync.Once
	closed chan struct{}
}

// Next is that of store.Watch.
func (w *Watch) Next(ctx context.Context) ([]store.Event, error) {
	for {
		events, grown, err := w.take()
		if err != nil || len(events) > 0 {
			return events, err
		}
		select {
		case <-grown:
		case <-w.closed:
		case <-w.log.closed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for changes of %q: %w", w.prefix, ctx.Err())
		}
	}
}

// Close is that of store.Watch.
func (w *Watch) Close() { w.once.Do(func() { close(w.closed) }) }

// take reads on from where the watch is. With nothing there it returns what to
// wait for.
func (w *Watch) take() ([]store.Event, <-chan struct{}, error) {
	events, grown, err := w.read()
	// Copied outside the lock: others get the same events.
	for i := range events {
		events[i].Value = bytes.Clone(events[i].Value)
	}
	return events, grown, err
}

func (w *Watch) read() ([]store.Event, <-chan struct{}, error) {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if isClosed(w.closed) || isClosed(l.closed) {
		return nil, nil, store.ErrClosed
	}
	if w.at < l.floor {
		return nil, nil, fmt.Errorf("watch %q at revision %d, kept from %d: %w", w.prefix, w.at, l.floor, store.ErrCompacted)
	}
	var events []store.Event
	for _, c := range l.commits[l.after(w.at):] {
		if len(events) >= batch {
			break
		}
		for _, e := range c.events {
			if strings.HasPrefix(e.Key, w.prefix) {
				events = append(events, e)
			}
		}
		w.at = c.rev
	}
	return events, l.grown, nil
}
