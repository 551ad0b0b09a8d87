//go:build linux

package vmagent_test

import (
	"slices"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// waterfall is that of a container's claim, once it is bound.
func (r *rig) waterfall(id string) (api.ClaimView, []nic.StepName) {
	r.t.Helper()
	view, err := r.alloc.Claim(r.t.Context(), r.bound(id).ID)
	if err != nil {
		r.t.Fatal(err)
	}
	var names []nic.StepName
	for i, s := range view.Steps {
		names = append(names, s.Name)
		if s.Took < 0 || i > 0 && s.At.Before(view.Steps[i-1].At) {
			r.t.Errorf("step %s took %f s, at %s", s.Name, s.Took, s.At)
		}
	}
	return view, names
}

func (r *rig) wantSteps(id string, want ...nic.StepName) {
	r.t.Helper()
	view, names := r.waterfall(id)
	if !slices.Equal(names, want) {
		r.t.Errorf("steps are %v, want %v", names, want)
		return
	}
	var sum float64
	for _, s := range view.Steps {
		sum += s.Took
	}
	total := view.Steps[len(view.Steps)-1].At.Sub(view.Steps[0].At).Seconds()
	if diff := sum - total; diff > 1e-6 || diff < -1e-6 {
		r.t.Errorf("the steps took %f s together, from the first to the last %f s", sum, total)
	}
	if view.Steps[0].At.Before(view.Created) {
		r.t.Errorf("the first step was at %s, the claim is of %s", view.Steps[0].At, view.Created)
	}
}

// A container's way to its NIC is told in steps, whichever way it was, and also
// where the agent was started anew in the middle.
func TestTheStepsOfANICsWay(t *testing.T) {
	t.Run("made", func(t *testing.T) {
		r := newRig(t)
		r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
		r.wantSteps(id(1), nic.StepAsked, nic.StepPlanned, nic.StepPlaced, nic.StepCreated, nic.StepAttached,
			nic.StepFound, nic.StepMoved, nic.StepAddressed, nic.StepBound)
		before, _ := r.waterfall(id(1))
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.engine.run(t, id(2), map[string]string{nic.LabelNetwork: "veth"})
		r.bound(id(2)) // by now the first has been looked at as well
		if after, _ := r.waterfall(id(1)); !slices.Equal(after.Steps, before.Steps) {
			t.Errorf("the next agent made of\n%v\nthis:\n%v", before.Steps, after.Steps)
		}
	})
	t.Run("before the start", func(t *testing.T) {
		r := newRig(t)
		labels := map[string]string{nic.LabelNetwork: "plugged"}
		r.engine.create(id(1), labels)
		waits := r.observed(id(1), nic.ObservedWaiting)
		r.plugIn("ens7", waits.Identity.MAC)
		r.observed(id(1), nic.ObservedMade)
		found, _ := r.alloc.Claim(t.Context(), waits.ID)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.until("the new agent to have seen that it has not started", func() bool {
			var now made
			r.agent.Tally(&now)
			return now == 1
		})
		r.engine.run(t, id(1), labels)
		r.wantSteps(id(1), nic.StepAsked, nic.StepPlanned, nic.StepPlaced, nic.StepCreated, nic.StepAttached,
			nic.StepFound, nic.StepStarted, nic.StepMoved, nic.StepAddressed, nic.StepBound)
		if view, _ := r.waterfall(id(1)); len(found.Steps) == 0 || !slices.Equal(view.Steps[:len(found.Steps)], found.Steps) {
			t.Errorf("what was stored when the agent ended:\n%v\nis now:\n%v", found.Steps, view.Steps)
		}
	})
	t.Run("a spare", func(t *testing.T) {
		r := newRig(t)
		labels := map[string]string{nic.LabelNetwork: "pool"}
		r.engine.run(t, id(1), labels)
		r.bound(id(1))
		r.engine.die(id(1))
		r.engine.remove(id(1))
		r.spare()
		r.engine.run(t, id(2), labels)
		r.wantSteps(id(2), nic.StepAsked, nic.StepSpare, nic.StepFound, nic.StepMoved, nic.StepAddressed, nic.StepBound)
	})
}

// made counts the NICs that the agent itself knows to be in the host namespace.
type made int

func (m *made) NICs(state nic.ObservedState, _ string, count int) {
	if state == nic.ObservedMade {
		*m += made(count)
	}
}

func (*made) Connected(bool)           {}
func (*made) Workers(int, int)         {}
func (*made) Asks(int)                 {}
func (*made) Leases(string, int, int)  {}
func (*made) Members(string, int, int) {}
func (*made) Links(string, int, int)   {}
