package cloudsim_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// An instance's end: DeleteOnTermination decides, false after an attach
// (getmoto/moto's tests), true for what comes with the instance (radkawar/stackd).
func TestTerminationTakesWhatIsToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Latency: fixed})
		stays, goes := w.ready(cloudsim.CreateInterface{}), w.ready(cloudsim.CreateInterface{})
		a, b := w.attach(stays.ID, 1), w.attach(goes.ID, 2)
		must(0, w.ModifyInterface(t.Context(), w.call, cloudsim.ModifyInterface{Interface: goes.ID, Attachment: &cloudsim.ModifyAttachment{ID: b.ID, DeleteOnTermination: new(true)}}))(t)
		time.Sleep(fixed.Attach.Min)
		if got := must(w.TerminateInstances(t.Context(), w.call, w.node.ID))(t); got[0].After != cloudsim.InstanceShutting {
			t.Errorf("it is %+v", got)
		}
		if got := w.state(stays.ID); got != "in-use/attached" {
			t.Errorf("while it shuts down, it is %s", got)
		}
		time.Sleep(fixed.Stop.Min)
		same(t, []string{w.state(stays.ID), w.state(goes.ID), w.state(w.node.Interfaces[0].ID)}, []string{"available", missing, missing})
		if err := w.detach(a.ID, false); code(err) != "InvalidAttachmentID.NotFound" {
			t.Errorf("F11: detaching from what is gone: %v", err)
		}
		describe := func() error {
			_, err := w.DescribeInstances(t.Context(), w.call, cloudsim.Describe{IDs: []string{w.node.ID}})
			return err
		}
		if err := describe(); err != nil {
			t.Errorf("terminated, it cannot be described: %v", err)
		}
		time.Sleep(time.Hour)
		if err := describe(); code(err) != "InvalidInstanceID.NotFound" {
			t.Errorf("an hour later: %v", err)
		}
	})
}

// The instance ends in the middle of a call (terminate-instance).
func TestAnInstanceEndsUnderACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Latency: fixed})
		e := w.ready(cloudsim.CreateInterface{})
		a := w.attach(e.ID, 1)
		time.Sleep(fixed.Attach.Min)
		w.inject(cloudsim.Fault{Verb: cloudsim.TerminateInstance, API: "DetachNetworkInterface", After: true})
		must(0, w.detach(a.ID, false))(t)
		if got := w.state(e.ID); got != "available" {
			t.Errorf("it is %s", got)
		}
		e2 := w.ready(cloudsim.CreateInterface{})
		w.inject(cloudsim.Fault{Verb: cloudsim.TerminateInstance, API: "AttachNetworkInterface"})
		if err := w.attachTo(w.another.ID, e2.ID, 1, nil); code(err) != "IncorrectInstanceState" {
			t.Errorf("attaching to what ends: %v", err)
		}
	})
}

// A call that is about nothing in particular ends the instance that the fault
// names, or none.
func TestAnInstanceEndsUnderAnyCall(t *testing.T) {
	for target, want := range map[string]cloudsim.InstanceState{"": cloudsim.InstanceRunning, "i-target": cloudsim.InstanceTerminated} {
		w := newWorld(t, cloudsim.Options{})
		must(w.AddInstances(cloudsim.RunInstances{ID: "i-target", Type: "m5.large", Subnet: w.near.ID}))(t)
		w.inject(cloudsim.Fault{Verb: cloudsim.TerminateInstance, Target: target})
		must(w.DescribeInterfaces(t.Context(), w.call, cloudsim.Describe{}))(t)
		for _, i := range w.Instances() {
			if i.ID == "i-target" && i.State != want {
				t.Errorf("target %q: %s is %s; want %s", target, i.ID, i.State, want)
			}
		}
	}
}

// Attaching is legal on running and stopped instances (EC2 user guide,
// network interfaces).
func TestInstancesStopAndStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Latency: fixed})
		e := w.ready(cloudsim.CreateInterface{})
		must(w.StopInstances(t.Context(), w.call, w.node.ID))(t)
		time.Sleep(fixed.Stop.Min)
		w.attach(e.ID, 1)
		if _, err := w.Guest(w.node.ID); code(err) != "IncorrectInstanceState" {
			t.Errorf("a stopped machine has metadata: %v", err)
		}
		must(w.StartInstances(t.Context(), w.call, w.node.ID))(t)
		time.Sleep(fixed.Start.Min)
		if n := len(must(w.Guest(w.node.ID))(t).Interfaces); n != 2 {
			t.Errorf("it runs with %d interfaces", n)
		}
		p := must(w.DescribeInstances(t.Context(), w.call, cloudsim.Describe{Filters: []cloudsim.Filter{{Name: "network-interface.network-interface-id", Values: []string{e.ID}}}}))(t)
		if len(p.Items) != 1 || p.Items[0].ID != w.node.ID || len(p.Items[0].Interfaces) != 2 || p.Items[0].Interfaces[1].ID != e.ID {
			t.Errorf("it is %+v", p.Items)
		}
		made := must(w.RunInstances(t.Context(), w.call, cloudsim.RunInstances{Type: "t3.medium", Subnet: w.far.ID, Token: "t", Tags: cloudsim.Tags{"Name": "n"}}))(t)
		again := must(w.RunInstances(t.Context(), w.call, cloudsim.RunInstances{Type: "t3.medium", Subnet: w.far.ID, Token: "t", Tags: cloudsim.Tags{"Name": "n"}}))(t)
		if made[0].ID != again[0].ID || made[0].State != cloudsim.InstancePending || !made[0].Interfaces[0].Attachment.DeleteOnTermination {
			t.Errorf("they are %+v and %+v", made, again)
		}
	})
}

// Index 0 to max-1 per network card (EC2 user guide), and the bug of 2025: with
// no card said, an index is refused that another card uses (cilium/cilium#42512).
func TestNetworkCards(t *testing.T) {
	for bug, want := range map[bool]string{false: "", true: "InvalidParameterValue"} {
		w := newWorld(t, cloudsim.Options{CardBug: bug})
		big := must(w.AddInstances(cloudsim.RunInstances{Type: "c6in.32xlarge", Subnet: w.near.ID}))(t)[0].ID
		var e []string
		for range 4 {
			e = append(e, w.create(cloudsim.CreateInterface{}).ID)
		}
		w.Log(0)
		must(0, w.attachTo(big, e[0], 1, new(1)))(t)
		if err := w.attachTo(big, e[1], 1, nil); code(err) != want {
			t.Errorf("bug %v: index 1, no card: %v", bug, err)
		}
		if !bug {
			continue
		}
		if err := w.attachTo(big, e[1], 1, new(0)); err != nil {
			t.Errorf("index 1 of card 0: %v", err)
		}
		if err := w.attachTo(big, e[2], 1, new(0)); code(err) != "InvalidParameterValue" {
			t.Errorf("F07: index 1 of card 0 again: %v", err)
		}
	}
}
