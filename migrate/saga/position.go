package saga

import (
	"fmt"
	"slices"
	"strings"
)

// notBack comes between why a saga goes back and why it cannot.
const notBack = "; and it cannot be taken back: "

// Resume leads a parked saga on: Forward, from the first step that is not done, or
// Back, from the step whose Undo has failed. It then wants to be run.
func (p *Position) Resume(way Phase) error {
	if p.Phase != Parked || way != Forward && way != Back {
		return fmt.Errorf("resume a saga that is %s, %s: only a parked one goes on, forward or back", p.Phase, way)
	}
	p.Phase, p.Remedy = way, ""
	p.Why, _, _ = strings.Cut(p.Why, notBack)
	if way == Forward {
		p.Why = ""
	}
	return nil
}

// next is the step that is to be done; -1 if all are.
func (p *Position) next() int {
	return slices.IndexFunc(p.Marks, func(m Mark) bool { return m.State != StepDone })
}

// last is the step that is to be undone; -1 if nothing is left of any.
func (p *Position) last() int {
	for i, m := range slices.Backward(p.Marks) {
		if m.State != StepOpen && m.State != StepUndone {
			return i
		}
	}
	return -1
}

// start is the position of a saga that has not begun.
func start[S any](steps []Step[S]) Position {
	p := Position{Phase: Forward}
	for _, s := range steps {
		p.Marks = append(p.Marks, Mark{Name: s.Name})
	}
	return p
}

// check refuses steps that are no saga, and a position that is not theirs.
func check[S any](steps []Step[S], at Position) error {
	names, pivots := map[string]bool{}, 0
	for i, s := range steps {
		if s.Name == "" || s.Do == nil || names[s.Name] {
			return fmt.Errorf("step %d %q: each step needs a name of its own and a Do", i, s.Name)
		}
		names[s.Name] = true
		if s.Pivot {
			pivots++
		}
	}
	if pivots > 1 {
		return fmt.Errorf("%d steps are pivots: one at most can be", pivots)
	}
	for i, m := range at.Marks {
		if i >= len(steps) || steps[i].Name != m.Name {
			return &UnknownStepError{Name: m.Name}
		}
	}
	if len(steps) > len(at.Marks) {
		return fmt.Errorf("step %q is not in the journal", steps[len(at.Marks)].Name)
	}
	return nil
}
