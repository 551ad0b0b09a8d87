//go:build linux

package containers

import "sync"

// maxWakes bounds the containers remembered by name. Beyond, all are looked at.
const maxWakes = 4096

// wakes holds the containers that events named since the last delivery, each
// once, so that a burst of thousands costs little and a slow receiver nothing.
type wakes struct {
	ready chan struct{} // has a token while there is something to deliver

	mu  sync.Mutex
	ids map[string]struct{}
	all bool
}

func newWakes() *wakes {
	return &wakes{ready: make(chan struct{}, 1), ids: map[string]struct{}{}}
}

// add notes a container. It never waits. What is not an id may be anything, so
// it asks for a look at everything.
func (w *wakes) add(id string) {
	w.mu.Lock()
	switch {
	case w.all:
	case !isID(id) || len(w.ids) >= maxWakes:
		w.all = true
		clear(w.ids)
	default:
		w.ids[id] = struct{}{}
	}
	w.mu.Unlock()
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// deliver passes on what was noted since the last call.
func (w *wakes) deliver(wake func(id string), resync func()) {
	w.mu.Lock()
	ids, all := w.ids, w.all
	w.ids, w.all = map[string]struct{}{}, false
	w.mu.Unlock()
	if all {
		resync()
		return
	}
	for id := range ids {
		wake(id)
	}
}
