package cloudsim_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// watch is an interface's state once a second, without repetitions.
func (w *world) watch(id string, n int) []string {
	w.t.Helper()
	var all []string
	for range n {
		if s := w.state(id); len(all) == 0 || all[len(all)-1] != s {
			all = append(all, s)
		}
		time.Sleep(time.Second)
	}
	return all
}

// Each verb about attaching does what it says.
func TestFaultsOfAttaching(t *testing.T) {
	const attach = "AttachNetworkInterface"
	for name, c := range map[string]struct {
		fault cloudsim.Fault
		want  []string
		after string // the state when the fault is cleared
	}{
		"F12 back-to-available": {cloudsim.Fault{Verb: cloudsim.BackToAvailable, API: attach}, []string{"in-use/attaching", "available"}, "available"},
		"attach-then-vanish":    {cloudsim.Fault{Verb: cloudsim.AttachThenVanish, API: attach, Delay: seconds(3)}, []string{"in-use/attaching", "in-use/attached", "available"}, "available"},
		"stuck for a while":     {cloudsim.Fault{Verb: cloudsim.Stuck, API: attach, State: "attaching", Delay: seconds(10)}, []string{"in-use/attaching", "in-use/attached"}, "in-use/attached"},
		"F10 stuck for good":    {cloudsim.Fault{Verb: cloudsim.Stuck, API: attach, State: "attaching"}, []string{"in-use/attaching"}, "in-use/attached"},
		"another state":         {cloudsim.Fault{Verb: cloudsim.Stuck, API: attach, State: "detaching"}, []string{"in-use/attaching", "in-use/attached"}, "in-use/attached"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, cloudsim.Options{Latency: fixed})
				e := w.ready(cloudsim.CreateInterface{})
				w.inject(c.fault)
				w.attach(e.ID, 1)
				same(t, w.watch(e.ID, 20), c.want)
				w.Clear()
				if got := w.state(e.ID); got != c.after {
					t.Errorf("cleared, it is %s, not %s", got, c.after)
				}
			})
		})
	}
}

// A detaching that is stuck is ended by time, by clearing, or by force
// (the SDK's documentation of DetachNetworkInterfaceInput: the last resort).
func TestStuckDetaching(t *testing.T) {
	for name, end := range map[string]func(w *world, attachment string){
		"by clearing": func(w *world, _ string) { w.Clear() },
		"by force":    func(w *world, a string) { must(0, w.detach(a, true))(w.t) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, cloudsim.Options{Latency: fixed})
				e := w.ready(cloudsim.CreateInterface{})
				a := w.attach(e.ID, 1)
				time.Sleep(fixed.Attach.Min)
				w.inject(cloudsim.Fault{Verb: cloudsim.Stuck, State: "detaching", API: "Detach*"})
				must(0, w.detach(a.ID, false))(t)
				same(t, w.watch(e.ID, 600), []string{"in-use/detaching"})
				if err := w.detach(a.ID, false); code(err) != "IncorrectState" {
					t.Errorf("detaching again: %v", err)
				}
				end(w, a.ID)
				same(t, w.watch(e.ID, 20), []string{"available"})
				w.attach(e.ID, 1)
				w.Clear() // what was stuck is over: it ends nothing that came after
				same(t, w.watch(e.ID, 20), []string{"in-use/attaching", "in-use/attached"})
			})
		})
	}
}

func TestAttachedButNoNIC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Latency: fixed})
		e := w.ready(cloudsim.CreateInterface{})
		w.inject(cloudsim.Fault{Verb: cloudsim.AttachedButNoNIC})
		a := w.attach(e.ID, 1)
		time.Sleep(fixed.Attach.Min)
		if got := w.state(e.ID); got != "in-use/attached" {
			t.Errorf("it is %s", got)
		}
		if n := len(must(w.Guest(w.node.ID))(t).Interfaces); n != 1 {
			t.Errorf("the machine has %d", n)
		}
		must(0, w.detach(a.ID, false))(t)
		time.Sleep(fixed.Detach.Min)
		w.attach(e.ID, 1)
		time.Sleep(fixed.Attach.Min)
		if n := len(must(w.Guest(w.node.ID))(t).Interfaces); n != 2 {
			t.Errorf("at the second try the machine has %d", n)
		}
	})
}

func TestFaultsOfReadingAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Lenient: true})
		start := time.Now()
		w.inject(cloudsim.Fault{Verb: cloudsim.Slow, API: "Create*", Delay: seconds(2)}, cloudsim.Fault{Verb: cloudsim.DelayVisible, API: "Create*", Delay: seconds(30)})
		e := w.create(cloudsim.CreateInterface{})
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("slow takes %v", d)
		}
		same(t, w.watch(e.ID, 40), []string{missing, "available"})
		w.inject(cloudsim.Fault{Verb: cloudsim.StaleDescribe, API: "Describe*", Delay: seconds(10)})
		w.attach(e.ID, 1)
		same(t, w.watch(e.ID, 2), []string{"available", "in-use/attached"})

		ids := cloudsim.Describe{IDs: []string{e.ID}, MaxResults: 5}
		if err := w.list(ids); err != nil {
			t.Errorf("it is not lenient: %v", err)
		}
		w.inject(cloudsim.Fault{Verb: cloudsim.StrictValidation}, cloudsim.Fault{Verb: cloudsim.ClockSkew, Delay: -seconds(600)})
		if err := w.list(ids); code(err) != "InvalidParameterCombination" {
			t.Errorf("F19: it is not strict: %v", err)
		}
		if d := time.Since(w.Clock()); d != 10*time.Minute {
			t.Errorf("the clock is off by %v", d)
		}
	})
}

func TestFaultsThatRefuse(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	e := w.create(cloudsim.CreateInterface{})
	w.Log(0)
	for _, c := range []struct {
		fault cloudsim.Fault
		do    func() error
		want  string
	}{
		{cloudsim.Fault{Verb: cloudsim.IndexConflict}, func() error { return w.attachTo(w.node.ID, e.ID, 1, nil) }, "InvalidParameterValue: Instance '" + w.node.ID + "' already has an interface attached at device index '1'."},
		{cloudsim.Fault{Verb: cloudsim.Limit}, func() error { return w.attachTo(w.node.ID, e.ID, 1, nil) }, "AttachmentLimitExceeded: Interface count 2 exceeds the limit for m5.large"},
		{cloudsim.Fault{Verb: cloudsim.Limit}, func() error { return w.refused(cloudsim.CreateInterface{}) }, "NetworkInterfaceLimitExceeded: The maximum number of network interfaces has been reached."},
		{cloudsim.Fault{Verb: cloudsim.SubnetEmpty}, func() error { return w.refused(cloudsim.CreateInterface{}) }, "InsufficientFreeAddressesInSubnet: The specified subnet does not have enough free addresses to satisfy the request."},
		{cloudsim.Fault{Verb: cloudsim.Conflict, Code: "ConcurrentTagAccess", Message: "Again."}, func() error { return w.refused(cloudsim.CreateInterface{}) }, "ConcurrentTagAccess: Again."},
		{cloudsim.Fault{Verb: cloudsim.Fail, Code: "Blocked", Message: "No.", Status: 403}, func() error { return w.refused(cloudsim.CreateInterface{}) }, "Blocked: No."},
	} {
		w.inject(c.fault)
		if err := c.do(); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, not %s", c.fault.Verb, err, c.want)
		}
	}
	w.inject(cloudsim.Fault{Verb: cloudsim.ForeignObjects, Foreign: []cloudsim.Foreign{{Subnet: w.near.ID, Description: "theirs", Count: 3}}})
	if n := len(w.Interfaces()); n != 2+1+3 {
		t.Errorf("there are %d interfaces", n)
	}
}
