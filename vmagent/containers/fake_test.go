//go:build linux

package containers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// fake is an engine that behaves as Docker's does: it remembers containers,
// sends events to subscribers with bounded room, and drops those for which a
// slow reader has no room left after a while, without a word.
type fake struct {
	mu         sync.Mutex
	about_     about
	containers map[string]Container
	streams    map[*stream]struct{}
	subscribed int   // subscriptions so far
	dropped    int   // events that a slow reader missed
	down       error // what every call returns while the engine is away
	mute       bool  // lose events
	hang       bool  // do not answer a subscription
	onInspect  func()
}

// Docker's numbers: moby daemon/events.
const (
	subscriberRoom = 1024
	subscriberWait = 100 * time.Millisecond
)

type stream struct {
	events chan string
	cut    chan error
}

func newFake() *fake {
	return &fake{
		about_:     about{Version: "20.10.24", APIVersion: "1.41", OSType: "linux", OS: "Debian GNU/Linux 12 (bookworm)", Security: []string{"name=seccomp,profile=default"}},
		containers: map[string]Container{},
		streams:    map[*stream]struct{}{},
		onInspect:  func() {},
	}
}

func (f *fake) about(context.Context) (about, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.about_, f.down
}

func (f *fake) ping(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down
}

func (f *fake) close() error { return nil }

func (f *fake) inspect(_ context.Context, id string) (Container, error) {
	f.onInspect()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return Container{}, f.down
	}
	c, ok := f.containers[id]
	if !ok {
		return Container{}, fmt.Errorf("inspect %s: %w", id, ErrNotFound)
	}
	return c, nil
}

func (f *fake) list(context.Context) ([]Container, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.containers)), f.down
}

func (f *fake) follow(ctx context.Context, subscribed func(), event func(string)) error {
	f.mu.Lock()
	if f.down != nil {
		defer f.mu.Unlock()
		return f.down
	}
	hang := f.hang
	s := &stream{events: make(chan string, subscriberRoom), cut: make(chan error, 1)}
	if !hang {
		f.streams[s] = struct{}{}
		f.subscribed++
	}
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	defer func() {
		f.mu.Lock()
		delete(f.streams, s)
		f.mu.Unlock()
	}()
	subscribed()
	for {
		select {
		case id := <-s.events:
			event(id)
		case err := <-s.cut:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// set changes a container and tells subscribers, unless mute.
func (f *fake) set(c Container) {
	f.mu.Lock()
	f.containers[c.ID] = c
	f.mu.Unlock()
	f.emit(c.ID)
}

// emit sends an event as Docker does: it waits a little for a slow reader, and
// then goes on without it.
func (f *fake) emit(id string) {
	f.mu.Lock()
	streams := slices.Collect(maps.Keys(f.streams))
	mute := f.mute
	f.mu.Unlock()
	if mute {
		return
	}
	for _, s := range streams {
		select {
		case s.events <- id:
		case <-time.After(subscriberWait):
			f.mu.Lock()
			f.dropped++
			f.mu.Unlock()
		}
	}
}

// leave ends all streams and refuses calls until comeBack.
func (f *fake) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = fmt.Errorf("%w: the fake is away", ErrNoEngine)
	for s := range f.streams {
		s.cut <- errors.New("unexpected EOF")
	}
}

func (f *fake) comeBack() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = nil
}
