package allocator

import (
	"context"
	"time"

	"github.com/nicferry/nicferry/internal/api"
)

// A Sweep is the background comparison of store, providers and nodes.
type Sweep struct {
	// Every is the time between two comparisons; required.
	Every time.Duration
	// Grace is how long a difference must have stood, by our own clock, before
	// it is acted upon; required.
	Grace time.Duration
}

// A sweeper remembers since when each difference stands. Its clock is the
// monotonic one, whatever wall clocks and tags say (F66).
type sweeper struct {
	a     *Allocator
	marks map[string]time.Time
}

// sweep compares and mends until ctx ends. It acts in two phases: a difference
// is marked, and acted upon when it still stands after the grace, in facts that
// are gathered anew.
func (a *Allocator) sweep(ctx context.Context) {
	if a.opts.Sweep == nil {
		return
	}
	s := &sweeper{a: a, marks: map[string]time.Time{}}
	timer := time.NewTimer(a.opts.Sweep.Every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		s.run(ctx)
		timer.Reset(s.untilNext())
	}
}

// untilNext is the usual time, or less if something marked is due before.
func (s *sweeper) untilNext() time.Duration {
	wait := s.a.opts.Sweep.Every
	for _, at := range s.marks {
		if left := s.a.opts.Sweep.Grace - time.Since(at); left > 0 {
			wait = min(wait, left)
		}
	}
	return wait
}

// run is one comparison.
func (s *sweeper) run(ctx context.Context) {
	f, err := s.a.gather(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.a.count(func(c *api.Sweeps) { c.Failed++ })
			s.a.opts.Log.Warn("sweep ended early, nothing is concluded", "err", err)
		}
		return
	}
	before := s.marks
	s.marks = map[string]time.Time{}
	var marked, mended uint64
	for _, found := range f.compare() {
		at, known := before[found.key()]
		delete(before, found.key())
		if !known {
			at = time.Now()
			marked++
			s.a.opts.Observer.Found(string(found.Kind))
			s.a.opts.Log.Warn("difference found", "kind", found.Kind, "nic", found.NIC, "claim", found.Claim, "node", found.Node,
				"provider", found.Provider, "link", found.Link, "message", found.Message, "remedy", found.Remedy)
		}
		s.marks[found.key()] = at
		if !known || time.Since(at) < s.a.opts.Sweep.Grace || !found.byItself() {
			continue
		}
		err := s.a.mend(ctx, found)
		s.a.tellMended("sweep", found, err)
		if err == nil {
			mended++
			s.a.opts.Observer.Mended(string(found.Kind))
		}
	}
	s.a.count(func(c *api.Sweeps) {
		c.Runs, c.Marked, c.Mended, c.Spared = c.Runs+1, c.Marked+marked, c.Mended+mended, c.Spared+uint64(len(before))
	})
}

// byItself says whether the sweep may act. Whether a container is gone is its
// agent's to say, which asks three sources, and what somebody has plugged into
// another node may be in use there; an operator may overrule both.
func (f finding) byItself() bool {
	return f.does != tellOnly && f.does != release && f.does != elsewhere
}

func (a *Allocator) count(do func(*api.Sweeps)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	do(&a.sweeps)
}

// Sweeps returns what the sweep has done since New.
func (a *Allocator) Sweeps() api.Sweeps {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sweeps
	s.Off = a.opts.Sweep == nil
	return s
}
