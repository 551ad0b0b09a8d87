package invariant

import (
	"time"

	"github.com/nicferry/nicferry/nic"
)

// waits finds waits without a name, and those that go on after their end (P9).
func (c *check) waits() {
	for _, n := range c.Records.NICs {
		since := c.Now.Sub(n.Since)
		switch n.Phase {
		case nic.PhasePlanned:
			if since > c.PlugWithin+c.Grace && c.now.claims[n.Holder].Move == nil { // else its move gives it up
				c.add(P9, ids(n.ID), "has been planned for %s and is given up after %s", since.Round(time.Second), c.PlugWithin)
			}
			c.named(n, since)
		case nic.PhaseReturning, nic.PhaseRetiring:
			c.named(n, since)
		}
		c.words(string(n.ID), n.Conditions)
	}
	for _, claim := range c.Records.Claims {
		since := c.Now.Sub(claim.Since)
		switch {
		case claim.Phase == nic.ClaimRefused && len(claim.Conditions) == 0:
			c.add(P9, ids(claim.ID), "is refused and does not say why")
		case claim.Phase == nic.ClaimPending && claim.NIC == "" && claim.StoppedAt.IsZero() && since > c.Grace && c.over(claim.Conditions):
			c.add(P9, ids(claim.ID), "has waited for %s and no NIC is planned for it", since.Round(time.Second))
		}
		if d := end(claim.Conditions, nic.ReasonWaitingForNIC); claim.Phase == nic.ClaimReady && !d.IsZero() && c.Now.Sub(d) > c.Grace {
			c.add(P9, ids(claim.ID), "waits for its NIC to come up, which was to end at %s", d.Format(time.TimeOnly))
		}
		c.words(string(claim.ID), claim.Conditions)
	}
}

// named wants a condition of a NIC that has been in transition for a while.
func (c *check) named(n nic.NIC, since time.Duration) {
	if since > c.Grace && len(n.Conditions) == 0 {
		c.add(P9, ids(n.ID), "has been %s for %s and does not say what it waits for", n.Phase, since.Round(time.Second))
	}
}

// over says whether nothing is waited for any more: every wait has ended a
// while ago, or there is none.
func (c *check) over(cs []nic.Condition) bool {
	for _, cond := range cs {
		if cond.Deadline.IsZero() || c.Now.Sub(cond.Deadline) <= c.Grace {
			return false
		}
	}
	return true
}

// words wants of each condition what people need of it.
func (c *check) words(id string, cs []nic.Condition) {
	for _, cond := range cs {
		if cond.Reason == "" || cond.Message == "" || cond.Since.IsZero() {
			c.add(P9, []string{id}, "has a condition without a reason, a message or a beginning: %+v", cond)
		}
	}
}

// end is the deadline of the condition with the reason; zero without.
func end(cs []nic.Condition, reason nic.Reason) time.Time {
	for _, cond := range cs {
		if cond.Reason == reason {
			return cond.Deadline
		}
	}
	return time.Time{}
}
