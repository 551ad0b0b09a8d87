package allocator

import (
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// Of the NICs that are made for one claim within tryWindow, so many may fail.
// Then the claim is refused until the first of them is that old: a demand that
// cannot be met must not make NICs without end (F16). The first try again
// comes after tryGap, each further one after twice the last gap.
const (
	maxSetbacks = 5
	tryWindow   = time.Hour
	tryGap      = 5 * time.Second
)

// setBack notes that a NIC was made for the claim in vain, maybe of VFs.
func (k clock) setBack(claim *nic.Claim, why nic.Condition, vfs ...string) {
	k.dropOldSetbacks(claim)
	claim.Setbacks = append(slices.Clip(claim.Setbacks), nic.Setback{At: k.now(), Reason: why.Reason, Message: why.Message, VFs: vfs})
	claim.Setbacks = claim.Setbacks[max(0, len(claim.Setbacks)-maxSetbacks):]
}

func (k clock) dropOldSetbacks(claim *nic.Claim) {
	old := 0
	for old < len(claim.Setbacks) && k.since(claim.Setbacks[old].At) >= tryWindow {
		old++
	}
	claim.Setbacks = claim.Setbacks[old:]
}

// untilNextTry is how long no further NIC may be made for the claim; 0 for now.
func (k clock) untilNextTry(claim nic.Claim) time.Duration {
	return max(0, k.until(nextTry(claim)))
}

// nextTry is when the next NIC may be made; zero without setbacks.
func nextTry(claim nic.Claim) time.Time {
	n := len(claim.Setbacks)
	switch {
	case n == 0:
		return time.Time{}
	case n < maxSetbacks:
		return claim.Setbacks[n-1].At.Add(tryGap << (n - 1))
	}
	return claim.Setbacks[0].At.Add(tryWindow)
}

// overtried says why no further NIC is made for the claim; nil if one is.
func (k clock) overtried(claim *nic.Claim) *nic.Condition {
	k.dropOldSetbacks(claim)
	if k.untilNextTry(*claim) == 0 {
		return nil
	}
	last := claim.Setbacks[len(claim.Setbacks)-1]
	return k.because(last.Reason, "NICs made in vain within the hour: %d, the next is made at %s; the last: %s",
		len(claim.Setbacks), nextTry(*claim).Format("15:04:05 MST"), last.Message)
}

// failedVFs are those that NICs were made of for the claim in vain, and links on cards.
func failedVFs(claim nic.Claim) []string {
	var all []string
	for _, back := range claim.Setbacks {
		all = append(all, back.VFs...)
	}
	return all
}

// startAfresh forgets the setbacks of a node's claims: it has booted, and what
// kept its NICs from it may have gone.
func startAfresh(e *edit, node string) error {
	claims, err := claimsOn(e, node, nil)
	if err != nil {
		return fmt.Errorf("list claims of node %s: %w", node, err)
	}
	for _, r := range claims {
		if claim := r.Value; len(claim.Setbacks) > 0 {
			claim.Setbacks = nil
			e.update(r.Key, claim, r.Rev)
		}
	}
	return nil
}
