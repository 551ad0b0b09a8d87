package cloudsim_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

const missing = "InvalidNetworkInterfaceID.NotFound"

// Right after a create, a describe by id may answer NotFound (EC2 API
// reference, eventual consistency; terraform-provider-aws waits for it).
func TestWhatIsNewIsNotThereYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Lag: cloudsim.Lag{Describe: cloudsim.Range{Min: 10 * time.Second}}})
		time.Sleep(time.Minute)
		e := w.create(cloudsim.CreateInterface{Tags: cloudsim.Tags{"a": "x"}})
		tagged := cloudsim.Describe{Filters: []cloudsim.Filter{{Name: "tag:a", Values: []string{"x"}}}}
		time.Sleep(10*time.Second - time.Nanosecond)
		if got := w.state(e.ID); got != missing {
			t.Errorf("it is %s", got)
		}
		if err := w.attachTo(w.node.ID, e.ID, 1, nil); code(err) != missing {
			t.Errorf("attaching it: %v", err)
		}
		if p := must(w.DescribeInterfaces(t.Context(), w.call, tagged))(t); len(p.Items) != 0 {
			t.Errorf("its tag finds %d", len(p.Items))
		}
		time.Sleep(time.Nanosecond)
		w.attach(e.ID, 1)
		if got := w.state(e.ID); got != "pending" && got != "available" {
			t.Errorf("the attachment shows at once: %s", got)
		}
		time.Sleep(10 * time.Second)
		if got := w.state(e.ID); got != "in-use/attached" {
			t.Errorf("it is %s", got)
		}
		if err := w.detach(w.get(e.ID).Attachment.ID, false); err != nil {
			t.Fatal(err)
		}

		w.Log(0) // it is detached at once, and nobody sees it
		if err := w.DeleteInterface(t.Context(), w.call, e.ID); err != nil {
			t.Fatal(err)
		}
		if got := w.state(e.ID); got != "in-use/attached" {
			t.Errorf("deleted, it still shows, but as %s", got)
		}
		if p := must(w.DescribeInterfaces(t.Context(), w.call, tagged))(t); len(p.Items) != 1 {
			t.Errorf("deleted, its tag finds %d", len(p.Items))
		}
		time.Sleep(10 * time.Second)
		if got := w.state(e.ID); got != missing {
			t.Errorf("in the end it is %s", got)
		}
	})
}

// Assigned addresses can be missing from the next describe, wholly or in part
// (tests of amazon-vpc-resource-controller-k8s).
func TestAddressesShowBitByBit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Lag: cloudsim.Lag{Addresses: cloudsim.Range{Min: 4 * time.Second}}})
		e := w.create(cloudsim.CreateInterface{})
		must(w.AssignIPv4(t.Context(), w.call, cloudsim.AssignIPv4{Interface: e.ID, Count: 4}))(t)
		var seen []int
		for range 5 {
			seen = append(seen, len(w.get(e.ID).IPv4))
			time.Sleep(time.Second)
		}
		same(t, seen, []int{1, 1, 3, 3, 5})
	})
}

// The lag is a caller's too, and metadata have one of their own (amazon-vpc-cni-k8s
// waits for them).
func TestReadersLagEachInTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Lag: cloudsim.Lag{
			Callers:  map[string]time.Duration{"AKIASLOW": 7 * time.Second},
			Metadata: cloudsim.Range{Min: 3 * time.Second},
		}})
		time.Sleep(time.Minute)
		slow := cloudsim.Call{Caller: "AKIASLOW"}
		e := w.create(cloudsim.CreateInterface{})
		w.state(e.ID)
		a := w.attach(e.ID, 1)
		inGuest := func() int { return len(must(w.Guest(w.node.ID))(t).Interfaces) }
		var quick, late, guest []bool
		for range 9 {
			quick = append(quick, w.state(e.ID) == "in-use/attached")
			p, err := w.DescribeInterfaces(t.Context(), slow, cloudsim.Describe{IDs: []string{e.ID}})
			late = append(late, err == nil && p.Items[0].Attachment != nil)
			guest = append(guest, inGuest() == 2)
			time.Sleep(time.Second)
		}
		same(t, quick, []bool{true, true, true, true, true, true, true, true, true})
		same(t, late, []bool{false, false, false, false, false, false, false, true, true})
		same(t, guest, []bool{false, false, false, true, true, true, true, true, true})
		if err := w.detach(a.ID, false); err != nil {
			t.Fatal(err)
		}
		w.Log(0)
		if inGuest() != 2 {
			t.Error("the metadata know at once that it was detached")
		}
		time.Sleep(3 * time.Second)
		if inGuest() != 1 {
			t.Error("the metadata never know that it was detached")
		}
	})
}

// A re-assigned address moves with its public one, and the loser shows it as
// long as the lag is (EC2 user guide, secondary addresses; radkawar/stackd).
func TestAReassignedAddressMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{})
		a, b := w.create(cloudsim.CreateInterface{IPv4Count: 1}), w.create(cloudsim.CreateInterface{})
		addr, p := a.IPv4[1].Addr, w.public()
		must(w.associate(cloudsim.AssociateAddress{Allocation: p.Allocation, Interface: a.ID, Private: addr}))(t)
		move := cloudsim.AssignIPv4{Interface: b.ID, Addrs: []netip.Addr{addr}, AllowReassignment: true}
		for range 2 { // again is no error and changes nothing
			if err := w.assign(move); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(w.get(a.ID).IPv4); n != 1 {
			t.Errorf("the loser has %d addresses", n)
		}
		got := w.get(b.ID).IPv4
		if len(got) != 2 || got[1].Addr != addr || got[1].Association == nil || got[1].Association.Public != p.Public {
			t.Errorf("the winner has %+v", got)
		}
		seen := must(w.DescribeAddresses(t.Context(), w.call, cloudsim.Describe{IDs: []string{p.Allocation}}))(t).Items[0]
		if seen.Interface != b.ID || seen.Private != addr {
			t.Errorf("the public address is %+v", seen)
		}
		if err := w.UnassignIPv4(t.Context(), w.call, cloudsim.UnassignIPv4{Interface: b.ID, Addrs: []netip.Addr{addr}}); err != nil {
			t.Fatal(err)
		}
		if err := w.ReleaseAddress(t.Context(), w.call, p.Allocation); err != nil {
			t.Errorf("unassigning left the public address: %v", err)
		}
	})
}
