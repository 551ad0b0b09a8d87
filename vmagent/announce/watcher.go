// Package announce looks after the addresses of NICs on the wire, from outside
// their namespaces: whether somebody else has them, and that peers know of us.
//
// A [Watcher] serves one NIC. First it probes for other holders, then it asks
// for the gateways and announces the addresses: either would draw the other
// holder's traffic to us if it came first. After some seconds all is said, and it
// costs one sleeping goroutine: no thread, no descriptor, and no packet of the
// container is looked at.
package announce

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Watcher probes and announces the addresses of one NIC until it is stopped.
// Stop it before the NIC leaves its namespace.
type Watcher struct {
	opts   Options
	cancel context.CancelFunc
	done   chan struct{}
	poke   chan struct{} // rouses it from a sleep without a wire

	mu      sync.Mutex
	state   State // guarded by mu
	wire    Wire  // guarded by mu; the one it listens at, if any
	roused  bool  // guarded by mu
	applied bool  // guarded by mu; the NIC's addresses have not been read since
	waiting bool  // guarded by mu; for addresses to appear on the NIC
}

// Start begins to watch, in a goroutine that Stop ends. State is right at
// once: in strict mode Start looks which addresses are on the NIC already, as
// after a restart of the agent; these stay there while they are probed.
// The error names an option that is missing or wrong, or is the wire's.
func Start(o Options) (*Watcher, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("start probing: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watcher{opts: o, cancel: cancel, done: make(chan struct{}), poke: make(chan struct{}, 1)}
	k := newWorker(w, time.Now())
	if k.mustLook() {
		if err := k.adopt(); err != nil {
			cancel()
			return nil, fmt.Errorf("start probing: %w", err)
		}
	}
	w.state = k.snapshot()
	go k.run(ctx)
	return w, nil
}

// State returns what is known now. It never blocks.
func (w *Watcher) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// Same says whether a watcher with those options would do the same. If not,
// stop this one and start another with this one's State as Options.Earlier.
func (w *Watcher) Same(o Options) bool { return o.check() == nil && w.opts.same(&o) }

// Applied says that the usable addresses have just been put on the NIC. Call
// it after each time that is done, also if nothing had to be changed: an
// address is announced only when it is there. It never blocks.
func (w *Watcher) Applied() {
	w.mu.Lock()
	w.applied = true
	waiting := w.waiting
	w.mu.Unlock()
	if waiting {
		w.rouse()
	}
}

// Stop ends the watcher and waits for it, at most until ctx ends. Addresses
// stay as they are. It may be called again.
func (w *Watcher) Stop(ctx context.Context) error {
	w.cancel()
	w.rouse()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop probing: %w", ctx.Err())
	}
}

// rouse ends the goroutine's wait, with or without a wire, or its next one.
func (w *Watcher) rouse() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.roused = true
	if w.wire != nil {
		_ = w.wire.SetReadDeadline(time.Unix(1, 0)) // of a wire that broke: the reading ends anyway
	}
	select {
	case w.poke <- struct{}{}:
	default:
	}
}
