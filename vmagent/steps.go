package vmagent

import (
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A way is how far a NIC has got on its way into its container, and when. It goes
// by the time that passes, not by what the wall clock says.
type way struct {
	claim nic.ClaimID
	turn  uint64
	begun time.Time // when the wish was seen first
	steps []nic.NodeStep
	// early: the NIC was wished for before its container ran.
	early bool
}

// set begins a way, unless it is the wish's already.
func (p *plug) set(w nic.Wanted) {
	if p.way.begun.IsZero() || p.way.claim != w.Claim || p.way.turn != w.Turn {
		p.way = way{claim: w.Claim, turn: w.Turn, begun: time.Now()}
	}
}

// pass notes a step that is done. What was done once stays as it was.
func (p *plug) pass(name nic.StepName) {
	if !slices.ContainsFunc(p.way.steps, func(s nic.NodeStep) bool { return s.Name == name }) {
		p.way.steps = append(p.way.steps, nic.NodeStep{Name: name, After: nic.Duration(time.Since(p.way.begun))})
	}
}

// told are the steps for a report that is made now.
func (w way) told() []nic.NodeStep {
	if len(w.steps) == 0 {
		return nil
	}
	return append(slices.Clip(w.steps), nic.NodeStep{Name: nic.StepReported, After: nic.Duration(time.Since(w.begun))})
}

// leased says whether a DHCP server has given what the NIC has now.
func (p *plug) leased() bool {
	return p.keeper != nil && p.keeper.State().Bound || p.keeper6 != nil && p.keeper6.State().Bound
}

// sentNow is o as it is sent now: its last step is the report, which may have had
// to wait for a controller.
func sentNow(o nic.Observed) nic.Observed {
	if last := len(o.Steps) - 1; last >= 0 {
		o.Steps = slices.Clone(o.Steps)
		o.Steps[last].After += nic.Duration(time.Since(o.At))
	}
	return o
}
