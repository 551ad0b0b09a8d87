package announce

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

const (
	// linger is how long a wire stays open for what is due next: closing one
	// costs some 10 ms.
	linger = 2 * time.Second
	// carrierPoll and dadPoll are how often the kernel is asked for what it
	// tells nobody.
	carrierPoll = 10 * time.Millisecond
	dadPoll     = 200 * time.Millisecond
	// Waits before a broken wire is opened again.
	firstReopen = 500 * time.Millisecond
	maxReopen   = time.Minute
)

// A worker is the watcher's goroutine: all that is due, on one time line.
type worker struct {
	w        *Watcher
	o        *Options
	started  time.Time
	checks   []*check
	gateways []*gateway

	wire  Wire // nil while there is nothing to do
	sight Sight
	// lookAt is when to look next without being told; zero for never.
	lookAt time.Time
	// carrierBy ends the wait for a carrier; zero while there is none.
	carrierBy time.Time
	pause     retry.Backoff
	err       error
}

func newWorker(w *Watcher, now time.Time) *worker {
	k := &worker{w: w, o: &w.opts, started: now, pause: retry.Backoff{First: firstReopen, Max: maxReopen}}
	for _, p := range k.o.Addrs {
		if !slices.ContainsFunc(k.checks, func(c *check) bool { return c.prefix.Addr() == p.Addr() }) {
			k.checks = append(k.checks, newCheck(k.o, p, now))
		}
	}
	for _, gw := range k.o.Gateways {
		if !slices.ContainsFunc(k.gateways, func(g *gateway) bool { return g.addr == gw }) {
			k.gateways = append(k.gateways, &gateway{addr: gw, retry: k.o.retry()})
		}
	}
	return k
}

func (o *Options) retry() retry.Backoff {
	return retry.Backoff{First: o.Timing.RetryFirst, Max: o.Timing.RetryMax}
}

// mustLook says whether an address would be kept off a NIC that may have it.
func (k *worker) mustLook() bool {
	return slices.ContainsFunc(k.checks, func(c *check) bool { return !c.live && c.conflict == nil })
}

// adopt lets the addresses stay that are on the NIC.
func (k *worker) adopt() error {
	if err := k.look(); err != nil {
		k.hangUp()
		return err
	}
	for _, c := range k.checks {
		if c.conflict == nil && k.present(c.prefix.Addr()) {
			c.live = true
		}
	}
	return nil
}

// run works until ctx ends.
func (k *worker) run(ctx context.Context) {
	defer close(k.w.done)
	defer k.hangUp()
	for ctx.Err() == nil {
		if err := k.step(ctx); err != nil && ctx.Err() == nil {
			k.broken(err)
			k.sleep(ctx, time.Now().Add(k.pause.Next()))
		}
	}
}

// step does what is due and waits for the next thing.
func (k *worker) step(ctx context.Context) error {
	now := time.Now()
	if err := k.act(now); err != nil {
		return err
	}
	if k.wire != nil && k.err != nil {
		k.err = nil
		k.pause.Reset()
	}
	k.publish()
	until, listens := k.agenda()
	if !listens && (until.IsZero() || until.Sub(now) > linger) {
		k.hangUp()
	}
	if k.wire == nil {
		k.sleep(ctx, until)
		return nil
	}
	return k.listen(until)
}

func (k *worker) act(now time.Time) error {
	if k.applied() {
		k.lookAt = now
	}
	if due(k.lookAt, now) {
		if err := k.look(); err != nil {
			return err
		}
	}
	for _, c := range k.checks {
		if err := c.act(k, now); err != nil {
			return err
		}
	}
	for _, g := range k.gateways {
		if err := g.act(k, now); err != nil {
			return err
		}
	}
	return nil
}

// broken notes trouble with the wire. What was silent meanwhile was not heard.
func (k *worker) broken(err error) {
	k.hangUp()
	k.sight = Sight{}
	for _, c := range k.checks {
		c.sent = 0
	}
	for _, g := range k.gateways {
		g.sent = 0
	}
	if k.err == nil || k.err.Error() != err.Error() {
		k.o.Log.Warn("addresses cannot be probed or announced, will try again", "error", err)
	}
	k.err = err
	k.publish()
}

// snapshot is the state as it is now.
func (k *worker) snapshot() State {
	s := State{Since: k.started, Err: k.err}
	for _, c := range k.checks {
		switch {
		case c.conflict != nil:
			if s.Conflicts == nil {
				s.Conflicts = map[netip.Addr]Conflict{}
			}
			s.Conflicts[c.prefix.Addr()] = *c.conflict
		case !c.live:
			s.Unchecked = append(s.Unchecked, c.prefix.Addr())
		}
	}
	for _, g := range k.gateways {
		if g.missing.IsZero() {
			continue
		}
		s.GatewaysMissing = append(s.GatewaysMissing, g.addr)
		if s.MissingSince.IsZero() || g.missing.Before(s.MissingSince) {
			s.MissingSince = g.missing
		}
	}
	return s
}

// publish makes the state known if it differs.
func (k *worker) publish() {
	s := k.snapshot()
	k.w.mu.Lock()
	changed := !s.same(k.w.state)
	if changed {
		k.w.state = s
	}
	k.w.mu.Unlock()
	if changed {
		k.o.Wake()
	}
}
