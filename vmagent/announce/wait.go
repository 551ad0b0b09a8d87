package announce

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"
)

// due says whether the time t has come; the zero time never does.
func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// applied says, once, that Applied was called while it matters.
func (k *worker) applied() bool {
	awaits := k.awaits()
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	applied := awaits && k.w.applied
	if applied {
		k.w.applied = false
	}
	return applied
}

// awaits says whether something waits for addresses to be on the NIC.
func (k *worker) awaits() bool {
	return slices.ContainsFunc(k.checks, func(c *check) bool { return c.awaits(k) }) ||
		slices.ContainsFunc(k.gateways, func(g *gateway) bool { return g.awaits() })
}

// agenda is when the next thing is due, zero for never, and whether frames
// matter until then.
func (k *worker) agenda() (next time.Time, listens bool) {
	times := []time.Time{k.lookAt}
	for _, c := range k.checks {
		times = append(times, c.at, c.tellAt, c.earUntil)
		listens = listens || c.listens()
	}
	for _, g := range k.gateways {
		times = append(times, g.at)
		listens = listens || g.sent > 0
	}
	for _, t := range times {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next, listens
}

// sleep waits without a wire, forever if until is zero.
func (k *worker) sleep(ctx context.Context, until time.Time) {
	if !k.settle(until) {
		return
	}
	var alarm <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		alarm = t.C
	}
	select {
	case <-ctx.Done():
	case <-alarm:
	case <-k.w.poke:
	}
}

// listen waits for one frame, and judges it.
func (k *worker) listen(until time.Time) error {
	if !k.settle(until) {
		return nil
	}
	buf := make([]byte, maxFrame)
	n, err := k.wire.Receive(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err != nil {
		return err
	}
	word, ok := hear(buf[:n], k.o.MAC)
	if !ok {
		return nil
	}
	now := time.Now()
	for _, c := range k.checks {
		c.hear(k, word, now)
	}
	for _, g := range k.gateways {
		g.hear(k, word)
	}
	return nil
}

// settle prepares a wait until then; it reports whether there is one.
func (k *worker) settle(until time.Time) bool {
	awaits := k.awaits()
	w := k.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = awaits
	if w.roused || awaits && w.applied {
		w.roused = false
		select {
		case <-w.poke:
		default:
		}
		return false
	}
	w.wire = k.wire
	if k.wire != nil {
		_ = k.wire.SetReadDeadline(until) // of a wire that broke: Receive tells
	}
	return true
}
