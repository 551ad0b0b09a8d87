package vmagent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A node error is said again with each try; people must see since when it is
// there, and the controller must not be told the same twice.
func TestAConditionKeepsItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReporter(Options{})
		id := nic.NewID()
		say := func(state nic.ObservedState, reasons ...nic.Reason) bool {
			o := nic.Observed{NIC: id, State: state}
			for _, reason := range reasons {
				o.Conditions = append(o.Conditions, nic.Condition{Reason: reason, Message: "no bridge"})
			}
			return r.say(o)
		}
		begin := time.Now()
		if !say(nic.ObservedWaiting, nic.ReasonNodeError) {
			t.Error("the first word is no news")
		}
		r.sent[id] = r.unsent[id]
		time.Sleep(time.Minute)
		if say(nic.ObservedWaiting, nic.ReasonNodeError) {
			t.Error("the same state again is news")
		}
		if n := len(r.unsent); n != 0 {
			t.Errorf("%d words to be sent, want none: it was said already", n)
		}
		if !say(nic.ObservedIn) {
			t.Error("another state is no news")
		}
		say(nic.ObservedWaiting, nic.ReasonNodeError)
		since := r.unsent[id].Conditions[0].Since
		if want := begin.Add(time.Minute); !since.Equal(want) {
			t.Errorf("an error that came back is there since %s, want %s", since, want)
		}
	})
}

func TestARefusalIsLoggedOnce(t *testing.T) {
	r := newRefusals()
	c := nic.Claim{ID: nic.NewClaimID(), Phase: nic.ClaimRefused, Conditions: []nic.Condition{{Reason: nic.ReasonAddressTaken, Message: "by db"}}}
	told := func() bool { _, news := r.news(c); return news }
	if !told() || told() {
		t.Error("want the first time told, and not the second")
	}
	c.Conditions[0].Message = "by web"
	if !told() {
		t.Error("another reason is not told")
	}
	c.Phase = nic.ClaimPending
	if told() || len(r.told) > 0 {
		t.Error("a granted claim is told of, or remembered")
	}
}
