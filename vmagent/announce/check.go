package announce

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// stage is how far the check of an address is.
type stage int

const (
	// probing: probes are sent, from check.at on, and no other holder must
	// answer. In a conflict that time is a while ahead.
	probing stage = iota
	// kernel: the kernel does it by itself once the address is on the NIC.
	kernel
	// watching: it is ours as far as is known; a late answer still counts.
	watching
	// done: it is ours, or taken for it.
	done
)

// A check is what is done about one address.
type check struct {
	prefix netip.Prefix
	// live: the address may be on the NIC.
	live     bool
	conflict *Conflict // nil if there is none
	stage    stage
	// clear: nobody else has answered, or it was ours before, so that it may be told
	// to others.
	clear bool
	sent  int       // probes
	at    time.Time // when the stage goes on; zero if not by itself
	retry retry.Backoff
	// earUntil ends the wait for the holder to say who it is; zero for none.
	earUntil time.Time

	told   int       // notices
	begun  time.Time // when the first was sent
	tellAt time.Time
}

func newCheck(o *Options, p netip.Prefix, now time.Time) *check {
	c := &check{prefix: p, live: true, retry: o.retry()}
	earlier, taken := o.Earlier.Conflicts[p.Addr()]
	switch {
	case p.Addr().Is4() && o.Mode == nic.ProbeOff:
		c.stage, c.clear = done, true
	case taken:
		c.live, c.conflict, c.at = false, &earlier, now
		if earlier.Again.After(now) {
			c.at = earlier.Again
		}
	case p.Addr().Is6():
		c.stage = kernel
	default:
		c.live = o.Mode != nic.ProbeStrict
		c.clear = c.live && slices.Contains(o.Ours, p.Addr())
		c.at = now.Add(between(0, o.Timing.First))
	}
	return c
}

func between(lo, hi time.Duration) time.Duration { return lo + rand.N(max(hi-lo, 0)+1) }

func (c *check) act(k *worker, now time.Time) error {
	if due(c.earUntil, now) {
		c.earUntil = time.Time{}
	}
	var err error
	switch c.stage {
	case probing:
		err = c.probe(k, now)
	case kernel:
		err = c.ask(k, now)
	case watching:
		if due(c.at, now) {
			c.stage, c.at = done, time.Time{}
			c.retry.Reset()
		}
	case done:
	}
	if err != nil {
		return err
	}
	return c.tell(k, now)
}

// probe sends the next probe, or ends the wait after the last.
func (c *check) probe(k *worker, now time.Time) error {
	if !due(c.at, now) {
		return nil
	}
	t := k.o.Timing
	if c.sent == 0 {
		carries, err := k.carrier(now)
		if err != nil {
			return err
		}
		if !carries {
			c.at = now.Add(carrierPoll)
			return nil
		}
	}
	if c.sent < t.Probes {
		if err := k.send(probeFrame(k.o.MAC, c.prefix.Addr())); err != nil {
			return err
		}
		c.sent++
		c.at = now.Add(t.Settle)
		if c.sent < t.Probes {
			c.at = now.Add(between(t.Min, t.Max))
		}
		return nil
	}
	if c.conflict != nil {
		k.o.Log.Info("address is free again", "addr", c.prefix.Addr(), "since", c.conflict.Since)
	}
	c.live, c.conflict, c.sent = true, nil, 0
	if c.prefix.Addr().Is6() {
		c.stage, c.at = kernel, time.Time{}
		return nil
	}
	c.clear, c.stage, c.at = true, watching, now.Add(t.Watch)
	k.lookAt = now
	return nil
}

// ask reads how the kernel's own check stands.
func (c *check) ask(k *worker, now time.Time) error {
	a, ok := k.find(c.prefix.Addr())
	switch {
	case !ok:
	case a.Duplicate:
		c.taken(k, nic.MAC{}, now)
		// The kernel does not say whom it heard.
		c.earUntil = now.Add(k.o.Timing.Ask)
		return k.send(probeFrame(k.o.MAC, c.prefix.Addr()))
	case a.Tentative:
		if k.lookAt.IsZero() {
			k.lookAt = now.Add(dadPoll)
		}
	default:
		c.stage, c.clear = done, true
		c.retry.Reset()
	}
	return nil
}

// hear takes note of what somebody else says of the address.
func (c *check) hear(k *worker, w word, now time.Time) {
	switch {
	case w.addr != c.prefix.Addr():
	case c.live && w.wants: // the kernel answers for us
	case c.stage == probing && c.sent == 0:
		if c.conflict != nil && c.conflict.MAC.IsZero() && !w.wants {
			known := *c.conflict
			known.MAC = w.mac
			c.conflict = &known
			k.o.Log.Warn("address is held by another host", "addr", w.addr, "mac", w.mac)
		}
	case c.stage == probing || c.stage == watching:
		c.taken(k, w.mac, now)
	}
}

// taken withdraws the address for a while.
func (c *check) taken(k *worker, mac nic.MAC, now time.Time) {
	next := Conflict{MAC: mac, Since: now, Again: now.Add(c.retry.Next())}
	if c.conflict != nil {
		next.Since = c.conflict.Since
	}
	if c.conflict == nil || c.conflict.MAC != mac {
		k.o.Log.Warn("address is held by another host, withdrawn", "addr", c.prefix.Addr(), "mac", mac)
	}
	c.conflict = &next
	c.live, c.clear, c.stage, c.sent, c.at = false, false, probing, 0, next.Again
	c.told, c.tellAt = 0, time.Time{}
	k.forget(c.prefix.Addr())
}

// listens says whether frames about the address matter.
func (c *check) listens() bool {
	return c.stage == watching || c.stage == probing && c.sent > 0 || !c.earUntil.IsZero()
}

// awaits says whether the address has to appear on the NIC for work to go on.
func (c *check) awaits(k *worker) bool {
	if c.stage == kernel {
		return true
	}
	return c.clear && !k.o.Silent && c.told < notices && !k.present(c.prefix.Addr())
}
