package cloudsim

import (
	"context"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// transition lets do happen after a time out of the range, which faults make
// longer or hold. state is what stuck calls it.
func (t *turn) transition(state string, r Range, do func(at time.Time)) *event {
	at := t.now.Add(t.c.draw(r))
	for _, f := range t.faults {
		if f.Verb != Stuck || f.State != state {
			continue
		}
		if f.Delay == 0 {
			held := &event{do: do}
			f.held = append(f.held, held)
			return held
		}
		at = at.Add(f.Delay.D())
	}
	return t.c.agenda.add(at, do)
}

// atOnce says that a transition takes no time at all.
func (t *turn) atOnce(state string, r Range) bool {
	return r.Max <= 0 && r.Min <= 0 && !slices.ContainsFunc(t.faults, func(f *planned) bool { return f.Verb == Stuck && f.State == state })
}

// hidden is how much later than by lag what the call writes shows.
func (t *turn) hidden() time.Duration {
	var d time.Duration
	for _, f := range t.faults {
		if f.Verb == DelayVisible {
			d += f.Delay.D()
		}
	}
	return d
}

// work lets the Plugger do something about an interface, after all it was
// asked before, and then continues under the lock.
func (c *Cloud) work(e *eni, do func(context.Context) error, then func(now time.Time, err error)) {
	before, done := e.plugged, make(chan struct{})
	e.plugged = done
	c.plugs.Go(func() {
		defer close(done)
		if before != nil {
			<-before
		}
		err := do(c.closing)
		if c.closing.Err() != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		now := time.Now()
		c.agenda.catchUp(now)
		then(now, err)
	})
}

// unplug takes an interface out of a machine, however often that fails, and
// then continues.
func (c *Cloud) unplug(e *eni, instance string, then func(now time.Time)) {
	if c.opts.Plugger == nil {
		return
	}
	pull := c.unplugging(e, instance)
	c.work(e, func(ctx context.Context) error {
		wait := retry.Backoff{First: 100 * time.Millisecond, Max: 10 * time.Second}
		for {
			err := pull(ctx)
			if err == nil || retry.Sleep(ctx, wait.Next()) != nil {
				return err
			}
		}
	}, func(now time.Time, _ error) { then(now) })
}

// both calls do once two things have happened, at the time of the later one.
// An event that is dead by then stops it.
func both(do func(at time.Time)) func(at time.Time) {
	met := false
	return func(at time.Time) {
		if met {
			do(at)
		}
		met = true
	}
}
