// Package migratetest lists the ways a move may fail, and tells how one fares.
package migratetest

import (
	"slices"

	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/nic"
)

// A Harm is what is done to a move at one of its steps.
type Harm string

// The harms. Killed agents and controllers come back at once, lost machines and
// silent agents when the move rests.
const (
	Fails          Harm = "fails"             // the step fails, as often as it is tried
	FailsBack      Harm = "fails-back"        // a later step fails, and so does taking this one back
	KillController Harm = "controller-killed" // while the step is at work
	KillSource     Harm = "source-agent-killed"
	KillTarget     Harm = "target-agent-killed"
	LoseSource     Harm = "source-lost" // the machine has lost its power
	LoseTarget     Harm = "target-lost"
	MuteSource     Harm = "source-silent" // the agent does nothing, and its containers run on
	MuteTarget     Harm = "target-silent"
)

// Harms are all of them.
func Harms() []Harm {
	return []Harm{Fails, FailsBack, KillController, KillSource, KillTarget, LoseSource, LoseTarget, MuteSource, MuteTarget}
}

// An Order is what a node is told in a step.
type Order struct {
	Target bool // the target's node is told, not the source's
	Kind   nic.TaskKind
}

// Orders are those that a step gives, and the one that takes it back; Kind is empty
// for none.
func Orders(step string) (does []Order, undo Order) {
	switch step {
	case migrate.StepRestartsOff:
		return []Order{{false, nic.TaskPolicy}}, Order{false, nic.TaskPolicy}
	case migrate.StepImage, migrate.StepVolumes, migrate.StepLayer:
		return []Order{{false, nic.TaskSend}, {true, nic.TaskTake}}, Order{}
	case migrate.StepCreate:
		return []Order{{false, nic.TaskSend}, {true, nic.TaskCreate}}, Order{true, nic.TaskRemove}
	case migrate.StepStop:
		return []Order{{false, nic.TaskStop}}, Order{false, nic.TaskStart}
	case migrate.StepStart:
		return []Order{{true, nic.TaskStart}}, Order{true, nic.TaskStop}
	case migrate.StepHealth:
		return []Order{{true, nic.TaskHealth}}, Order{}
	case migrate.StepRestartsOn:
		return []Order{{true, nic.TaskPolicy}}, Order{}
	case migrate.StepDrop:
		return []Order{{false, nic.TaskRemove}}, Order{}
	}
	return nil, Order{}
}

// A Case is one harm at one step.
type Case struct {
	Step string
	Harm Harm
	// Forward: there is no way back from the step, so that the move gets done in
	// the end, whatever is done to it.
	Forward bool
}

// String names the case.
func (c Case) String() string { return c.Step + "/" + string(c.Harm) }

// Cases are all of a move with these steps.
func Cases(steps []nic.PlannedStep) []Case {
	var cases []Case
	pivot := slices.IndexFunc(steps, func(s nic.PlannedStep) bool { return s.Pivot })
	for i, s := range steps {
		for _, h := range Harms() {
			forward := pivot >= 0 && i > pivot
			if h == FailsBack && (forward || !Undone(s.Name)) {
				continue
			}
			cases = append(cases, Case{Step: s.Name, Harm: h, Forward: forward})
		}
	}
	return cases
}

// Undone says whether taking the step back has anything to do that may fail.
func Undone(step string) bool {
	_, undo := Orders(step)
	return undo.Kind != "" || step == migrate.StepFence || step == migrate.StepNICOut
}
