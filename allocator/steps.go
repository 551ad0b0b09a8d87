package allocator

import (
	"time"

	"github.com/nicferry/nicferry/nic"
)

// asked is when the claim that is to get a NIC began to wait for it.
func (k clock) asked(claim nic.Claim) time.Time {
	if claim.Phase == nic.ClaimRefused || awaitsFormer(claim) {
		return claim.Since
	}
	return k.now()
}

// stepped notes steps of the NIC that are done now. They are stored along with
// what else is: no commit is made for them.
func (k clock) stepped(n *nic.NIC, names ...nic.StepName) {
	for _, name := range names {
		nic.AddStep(&n.Steps, name, k.now())
	}
}

// seenSteps are the steps that are done by what a provider says.
func (k clock) seenSteps(n *nic.NIC) {
	switch n.Seen.State {
	case nic.StateAvailable, nic.StateAttaching:
		k.stepped(n, nic.StepCreated)
	case nic.StateAttached:
		k.stepped(n, nic.StepCreated, nic.StepAttached)
	}
}

// nodeSteps notes what the node has done by what it reports now, and reports
// whether that is news. Clocks differ: the node's last step is its report, which
// was a moment ago, and the others were before it. What is stored stays, so an
// agent that was started anew on the way loses nothing.
func (k clock) nodeSteps(n *nic.NIC, o nic.Observed, bound bool) (news bool) {
	if len(n.Steps) == 0 || done(n.Steps, nic.StepBound) { // of an earlier landing, or it is over
		return false
	}
	now := k.now()
	if last := len(o.Steps) - 1; last >= 0 && o.Steps[last].Name == nic.StepReported {
		took := o.Steps[last].After.D()
		for _, s := range o.Steps[:min(last, nic.MaxNodeSteps)] {
			if ago := took - s.After.D(); ofNode(s.Name) && ago >= 0 {
				news = nic.AddStep(&n.Steps, s.Name, now.Add(-ago)) || news
			}
		}
	}
	if bound {
		news = nic.AddStep(&n.Steps, nic.StepBound, now) || news
	}
	return news
}

// ofNode says whether a step is a node's to tell.
func ofNode(name nic.StepName) bool {
	switch name {
	case nic.StepFound, nic.StepStarted, nic.StepMoved, nic.StepLeased, nic.StepAddressed:
		return true
	}
	return false
}
