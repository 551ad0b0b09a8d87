package vmagent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A report that has to wait for the controller says for how long.
func TestStepsAreTimedToTheReport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, w := &plug{}, nic.Wanted{NIC: "nic-1", Claim: "clm-1"}
		p.set(w)
		if told := p.way.told(); told != nil {
			t.Errorf("steps of a way that has none: %v", told)
		}
		time.Sleep(time.Second)
		p.pass(nic.StepFound)
		time.Sleep(time.Second)
		p.set(w) // the same wish again
		p.pass(nic.StepFound)
		said := nic.Observed{NIC: w.NIC, Steps: p.way.told(), At: time.Now().UTC()}
		time.Sleep(time.Minute)
		sent := sentNow(said)
		want := []nic.NodeStep{
			{Name: nic.StepFound, After: nic.Duration(time.Second)},
			{Name: nic.StepReported, After: nic.Duration(time.Minute + 2*time.Second)},
		}
		if len(sent.Steps) != 2 || sent.Steps[0] != want[0] || sent.Steps[1] != want[1] {
			t.Errorf("sent %v, want %v", sent.Steps, want)
		}
		if said.Steps[1].After != nic.Duration(2*time.Second) {
			t.Errorf("what was said has changed to %v", said.Steps)
		}
		if !said.Repeats(sent) {
			t.Error("the time alone is news")
		}
		w.Turn++
		p.set(w)
		if len(p.way.steps) != 0 {
			t.Errorf("another turn begins with %v", p.way.steps)
		}
	})
}
