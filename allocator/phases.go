package allocator

import (
	"fmt"

	"github.com/nicferry/nicferry/nic"
)

func (k clock) because(reason nic.Reason, format string, args ...any) *nic.Condition {
	return &nic.Condition{Reason: reason, Message: fmt.Sprintf(format, args...), Since: k.now()}
}

// sayTheSame compares what people read.
func sayTheSame(a, b nic.Condition) bool { return a.Reason == b.Reason && a.Message == b.Message }

// refuse leaves the claim with that one condition.
func (k clock) refuse(claim *nic.Claim, c nic.Condition) {
	k.setClaimPhase(claim, nic.ClaimRefused)
	if len(claim.Conditions) == 1 && claim.Conditions[0].Reason == c.Reason {
		c.Since = claim.Conditions[0].Since
	}
	claim.Conditions = []nic.Condition{c}
}

// await leaves the claim without a NIC, with that one wait.
func (k clock) await(claim *nic.Claim, c nic.Condition) {
	k.refuse(claim, c)
	k.setClaimPhase(claim, nic.ClaimPending)
}

// setClaimPhase notes since when.
func (c clock) setClaimPhase(claim *nic.Claim, phase nic.ClaimPhase) {
	if claim.Phase != phase {
		claim.Phase, claim.Since = phase, c.now()
	}
}

// setPhase notes since when.
func (c clock) setPhase(n *nic.NIC, phase nic.Phase) {
	if n.Phase != phase {
		n.Phase, n.Since = phase, c.now()
	}
}
