package vmagent

import (
	"sync"

	"github.com/nicferry/nicferry/nic"
)

// refusals knows which refusals have been logged: claims are asked for again
// and again, and a log that repeats itself is not read.
type refusals struct {
	mu   sync.Mutex
	told map[nic.ClaimID]nic.Condition
}

func newRefusals() *refusals { return &refusals{told: map[nic.ClaimID]nic.Condition{}} }

// news says whether the claim is refused for a reason that has not been told
// yet, and what the reason is.
func (r *refusals) news(c nic.Claim) (nic.Condition, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Phase != nic.ClaimRefused || len(c.Conditions) == 0 {
		delete(r.told, c.ID)
		return nic.Condition{}, false
	}
	why, told := c.Conditions[0], r.told[c.ID]
	r.told[c.ID] = why
	return why, why.Reason != told.Reason || why.Message != told.Message
}

// forget is for claims that have been released.
func (r *refusals) forget(id nic.ClaimID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.told, id)
}
