package allocator

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A clock is the controller's own: what the wall clock said when it was made,
// and the time that has passed since. Whoever sets the wall clock, by hand or
// from the net, ends nobody's hold, cool-down or grace by that, nor makes it
// longer (F66). A controller that is started anew takes the wall clock again,
// and brings back what lies ahead by it.
type clock struct {
	wall  func() time.Time
	begin time.Time // by the wall clock
	at    time.Time // by the monotonic one
}

func newClock(wall func() time.Time) clock {
	return clock{wall: wall, begin: wall().UTC().Round(0), at: time.Now()}
}

// now is what records are stamped with and held against, in UTC.
func (c clock) now() time.Time {
	if !ownClock {
		return c.wall().UTC()
	}
	return c.begin.Add(time.Since(c.at))
}

func (c clock) since(t time.Time) time.Duration { return c.now().Sub(t) }

func (c clock) until(t time.Time) time.Duration { return t.Sub(c.now()) }

// mendTimes mends records of a kind whose times lie ahead by the word of mend.
func mendTimes[T any](ctx context.Context, a *Allocator, keys []string, mend func(*T) bool) error {
	for batch := range slices.Chunk(keys, expireTogetherMax) {
		err := a.asLeader(ctx, func(e *edit) error {
			for _, key := range batch {
				v, rev, found, err := get[T](e, key)
				if err != nil {
					return err
				}
				if found && mend(&v) {
					e.update(key, v, rev)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("bring back times that lie ahead: %w", err)
		}
	}
	return nil
}

// back makes times that lie ahead now, and says whether there was one.
func (c clock) back(times ...*time.Time) bool {
	now, ahead := c.now(), false
	for _, t := range times {
		if t.After(now) {
			*t, ahead = now, true
		}
	}
	return ahead
}

func (c clock) nicAhead(n *nic.NIC) bool {
	ahead := c.back(&n.Created, &n.Since, &n.Asked)
	for i := range n.Steps {
		ahead = c.back(&n.Steps[i].At) || ahead
	}
	return c.conditionsAhead(n.Conditions) || ahead
}

func (c clock) claimAhead(claim *nic.Claim) bool {
	ahead := c.back(&claim.Created, &claim.Since, &claim.StoppedAt)
	if latest := c.now().Add(reservedFor); claim.ReservedUntil.After(latest) {
		claim.ReservedUntil, ahead = latest, true
	}
	for i := range claim.Setbacks {
		ahead = c.back(&claim.Setbacks[i].At) || ahead
	}
	return c.conditionsAhead(claim.Conditions) || ahead
}

// conditionsAhead moves each condition's deadline along with its beginning.
func (c clock) conditionsAhead(conditions []nic.Condition) (ahead bool) {
	for i := range conditions {
		of := &conditions[i]
		if left := of.Deadline.Sub(of.Since); c.back(&of.Since) {
			ahead = true
			if !of.Deadline.IsZero() {
				of.Deadline = of.Since.Add(left)
			}
		}
	}
	return ahead
}

// Steps of the wall clock are looked for every stepLook, and those of at least
// stepTold are told.
const (
	stepLook = time.Minute
	stepTold = 5 * time.Second
)

// tellSteps says in the log when the wall clock is set, until ctx ends: from
// then on the times in records and in logs differ.
func (c clock) tellSteps(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(stepLook)
	defer ticker.Stop()
	var told time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if ahead := c.wall().Sub(c.now()); (ahead - told).Abs() >= stepTold {
			told = ahead
			log.Warn("wall clock was set: records go on by the time that passes, until the next start", "ahead", ahead.Round(time.Second))
		}
	}
}
