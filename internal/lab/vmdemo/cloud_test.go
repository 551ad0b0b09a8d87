//go:build linux

package vmdemo

import (
	"slices"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/vendors"
)

// What was made and not deleted is an orphan, however it came there; a lost reply
// is work that was done, and a second effect of one token is a twin.
func TestTheCloudsLogIsAddedUp(t *testing.T) {
	ec2 := vendors.EC2()
	made := cloudsim.Entry{API: vendors.Create, Effect: true, Resource: "eni-1"}
	deleted := cloudsim.Entry{API: vendors.Delete, Effect: true, Resource: "eni-1"}
	lost := cloudsim.Entry{API: vendors.Create, Effect: true, Resource: "eni-2", Fault: "lose-reply-1"}
	again := cloudsim.Entry{API: vendors.Create, Resource: "eni-2"}
	a := accounted([]cloudsim.Entry{
		made,
		{API: "DescribeNetworkInterfaces"},
		lost, again,
		{Event: "created", Effect: true, Resource: "eni-2"},
		{API: vendors.Attach, Code: "RequestLimitExceeded", Fault: "throttle-2"},
		{API: vendors.Attach, Code: "RequestLimitExceeded"},
		{API: vendors.Attach, Code: "IncorrectState"},
		{Event: "planted", Effect: true, Resource: "eni-3"},
		deleted,
		{API: ec2.Allocate, Effect: true, Resource: "eipalloc-1"},
		{API: ec2.Allocate, Effect: true, Resource: "eipalloc-2"},
		{API: ec2.Release, Effect: true, Resource: "eipalloc-1"},
	}, ec2)
	if a.made != 2 || a.deleted != 1 || a.looks != 1 || a.mutating != 10 || a.lost != 1 || a.throttled != 1 || a.throttledUnasked != 1 || a.otherRefusal != 1 {
		t.Errorf("%+v", a)
	}
	if !slices.Equal(a.orphans, []string{"eipalloc-2", "eni-2", "eni-3"}) || len(a.twins) > 0 {
		t.Errorf("orphans %q, twins %q", a.orphans, a.twins)
	}
	if a := accounted([]cloudsim.Entry{made, made, deleted, {Event: "deleted", Effect: true, Resource: "eni-2"}}, ec2); !slices.Equal(a.twins, []string{"eni-1"}) || len(a.orphans) > 0 {
		t.Errorf("orphans %q, twins %q", a.orphans, a.twins)
	}
	begun := cloudsim.Entry{API: vendors.Delete, Effect: true, Resource: "eni-1", After: deleting}
	if a := accounted([]cloudsim.Entry{made, begun}, vendors.ECS()); a.deleted != 0 || len(a.orphans) != 1 {
		t.Errorf("what is being deleted is gone: %+v", a)
	}
	if a := accounted([]cloudsim.Entry{made, begun, begun, {Event: "deleted", Effect: true, Resource: "eni-1"}}, vendors.ECS()); a.deleted != 1 || len(a.orphans) != 0 {
		t.Errorf("what has been deleted is not gone once: %+v", a)
	}
	detached := cloudsim.Entry{API: vendors.Detach, Effect: true, Resource: "eni-1", Before: "in-use/attached", After: "in-use/detaching"}
	still := detached
	still.Before = still.After
	if got := counted(changes([]cloudsim.Entry{made, lost, detached, still, deleted}, "eni-1")); got != "1 CreateNetworkInterface, 1 DeleteNetworkInterface, 1 DetachNetworkInterface" {
		t.Errorf("eni-1: %s", got)
	}
}

// The tally has one line for each kind of call, without what never happened.
func TestTheCloudsCallsAreCounted(t *testing.T) {
	ec2 := vendors.EC2()
	got := tally([]cloudsim.Entry{
		{API: vendors.Create, Effect: true, Fault: "lose-reply-1"},
		{API: vendors.Create},
		{API: vendors.Attach, Code: ec2.Throttled, Fault: "throttle-2"},
		{API: vendors.Attach, Code: "IncorrectState"},
		{Event: "created", Effect: true},
	}, ec2)
	var said []string
	for _, each := range got {
		said = append(said, each.api+" "+each.String())
	}
	if want := []string{vendors.Attach + " 2, 1 throttled, 1 refused", vendors.Create + " 2, 1 reply lost"}; !slices.Equal(said, want) {
		t.Errorf("it says %q, want %q", said, want)
	}
}
