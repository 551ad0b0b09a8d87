package cloudsim

import (
	"time"
)

// memory is how long the past of an interface can still be read.
const memory = time.Hour

// pasts is how many versions of an interface are kept.
const pasts = 16

// A version is an interface as it was from some time on.
type version struct {
	// visible is when describes show it, told when metadata do.
	visible, told time.Time
	seen          Interface
	gone          bool
}

// commit makes what an interface is now its newest version, which shows after
// the lag and hidden.
func (c *Cloud) commit(e *eni, at time.Time, hidden time.Duration) {
	c.append(e, version{visible: at.Add(c.draw(c.opts.Lag.Describe) + hidden), seen: e.now}, at)
	c.reindex(e)
}

// commitPartly is commit of further addresses: of those that were added, half
// show sooner than the others.
func (c *Cloud) commitPartly(e *eni, before Interface, at time.Time, hidden time.Duration) {
	late := c.draw(c.opts.Lag.Addresses)
	if late > 0 {
		half := e.now
		half.IPv4 = append(half.IPv4[:len(before.IPv4):len(before.IPv4)], half.IPv4[len(before.IPv4):(len(before.IPv4)+len(half.IPv4))/2]...)
		half.IPv6 = half.IPv6[:(len(before.IPv6)+len(half.IPv6))/2]
		half.IPv4Prefixes = half.IPv4Prefixes[:(len(before.IPv4Prefixes)+len(half.IPv4Prefixes))/2]
		half.IPv6Prefixes = half.IPv6Prefixes[:(len(before.IPv6Prefixes)+len(half.IPv6Prefixes))/2]
		c.append(e, version{visible: at.Add(late/2 + hidden), seen: half}, at)
	}
	c.commit(e, at, late+hidden)
}

// bury is commit of nothing.
func (c *Cloud) bury(e *eni, at time.Time, hidden time.Duration) {
	c.append(e, version{visible: at.Add(c.draw(c.opts.Lag.Describe) + hidden), gone: true}, at)
	c.index.remove(e)
}

// append lets a version follow, not visible before those that it follows.
func (c *Cloud) append(e *eni, v version, at time.Time) {
	v.told = v.visible.Add(c.draw(c.opts.Lag.Metadata))
	if n := len(e.past); n > 0 {
		last := e.past[n-1]
		v.visible, v.told = later(v.visible, last.visible), later(v.told, last.told)
	}
	if len(e.past) >= pasts {
		e.past = append(e.past[:0:0], e.past[1:]...)
	}
	e.past = append(e.past, v)
	c.recent.add(change{at: at, e: e, late: v.told.Sub(at)})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// at is the interface as describes show it at a time; nil is not at all.
func (e *eni) at(t time.Time) *Interface {
	for i := len(e.past) - 1; i >= 0; i-- {
		if v := &e.past[i]; !v.visible.After(t) {
			if v.gone {
				return nil
			}
			return &v.seen
		}
	}
	return nil
}

// told is the interface as metadata show it at a time; nil is not at all.
func (e *eni) told(t time.Time) *Interface {
	for i := len(e.past) - 1; i >= 0; i-- {
		if v := &e.past[i]; !v.told.After(t) {
			if v.gone {
				return nil
			}
			return &v.seen
		}
	}
	return nil
}

// A change is that an interface got a version.
type change struct {
	at   time.Time
	e    *eni
	late time.Duration // how much after at it shows everywhere
}

// recent is the changes of the last hour or so, in order, for those who read
// late and whom the index therefore misleads.
type recent struct {
	changes []change
	latest  time.Duration // the greatest late ever
}

func (r *recent) add(c change) {
	r.changes = append(r.changes, c)
	r.latest = max(r.latest, c.late)
	if n := len(r.changes); n > 1024 && n&(n-1) == 0 { // seldom, so that it costs nothing in all
		old := c.at.Add(-memory - r.latest)
		from := 0
		for from < n && r.changes[from].at.Before(old) {
			from++
		}
		r.changes = append([]change(nil), r.changes[from:]...)
	}
}

// since are the interfaces that may look otherwise at t than they are.
func (r *recent) since(t time.Time) map[*eni]bool {
	some := map[*eni]bool{}
	for i := len(r.changes) - 1; i >= 0 && r.changes[i].at.Add(r.latest).After(t); i-- {
		some[r.changes[i].e] = true
	}
	return some
}
