package nic

import (
	"slices"
	"time"
)

// StepName names a step on the way of a NIC into its container.
type StepName string

// The steps, in the order in which they come. Not every NIC takes each: one in
// reserve was made before, and who has no DHCP gets no lease.
const (
	StepAsked     StepName = "asked"     // the container asked, and its claim waits from then on
	StepPlanned   StepName = "planned"   // a NIC is on record
	StepTurn      StepName = "turn"      // its turn at the provider has come, for which it had waited
	StepPlaced    StepName = "placed"    // every choice is made
	StepCreated   StepName = "created"   // the provider has it
	StepAttached  StepName = "attached"  // the provider has plugged it in
	StepSpare     StepName = "spare"     // instead of all that: the claim got one that was in reserve
	StepFound     StepName = "found"     // it is in the host namespace of its node
	StepStarted   StepName = "started"   // the container runs, for which the NIC had waited there
	StepMoved     StepName = "moved"     // it is in the container
	StepLeased    StepName = "leased"    // a DHCP server has given an address
	StepAddressed StepName = "addressed" // its addresses and routes are set
	StepReported  StepName = "reported"  // the node has said so
	StepBound     StepName = "bound"     // the controller has heard so
)

// A Step is one that is done, by the controller's clock. It took what has passed
// since the step before it.
type Step struct {
	Name StepName  `json:"name"`
	At   time.Time `json:"at"`
}

// A NodeStep is a step that a node has done. Clocks differ, so it says how long
// that was after the node's first step, which is none of these: that it was told
// of the NIC. The last one is StepReported.
type NodeStep struct {
	Name  StepName `json:"name" maxLength:"32"`
	After Duration `json:"after"`
}

// MaxNodeSteps is how many steps a node may tell of one NIC.
const MaxNodeSteps = 16

// AddStep notes a step that is done, and reports whether that is news: what was
// done once stays as it was. No step is earlier than the one before it.
func AddStep(steps *[]Step, name StepName, at time.Time) bool {
	if slices.ContainsFunc(*steps, func(s Step) bool { return s.Name == name }) {
		return false
	}
	if last := len(*steps) - 1; last >= 0 && at.Before((*steps)[last].At) {
		at = (*steps)[last].At
	}
	*steps = append(*steps, Step{Name: name, At: at})
	return true
}
