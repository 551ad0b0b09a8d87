package allocator

import (
	"context"
	"log/slog"
	"time"
)

// A clock is the controller's own: what the wall clock said when it was made,
// and the time that has passed since. Whoever sets the wall clock, by hand or
// from the net, ends nobody's hold, cool-down or grace by that, nor makes it
// longer (F66). A controller that is started anew takes the wall clock again.
type clock struct {
	wall  func() time.Time
	begin time.Time // by the wall clock
	at    time.Time // by the monotonic one
}

func newClock(wall func() time.Time) clock {
	return clock{wall: wall, begin: wall().UTC(), at: time.Now()}
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
