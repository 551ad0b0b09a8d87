package allocator_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// byAddress is travels for a container of a network that is such, whose address goes
// alone. The cloud carries NICs, too.
func byAddress(t *testing.T, cloud fake.Options, such nic.Cloud, test func(t *testing.T, tr *trip)) {
	t.Helper()
	cloud.Travel, cloud.DrawsMACs, cloud.AddrsPerNIC = provider.Carry, true, max(cloud.AddrsPerNIC, 3)
	cloud.Zones = map[nic.InstanceID]string{"vm1": "a", "vm2": "a", "vm3": "b"}
	cloud.Subnets = []fake.Subnet{
		{ID: "subnet-a1", Zone: "a", Prefix: netip.MustParsePrefix("10.1.0.0/20"), Gateway: netip.MustParseAddr("10.1.0.1")},
		{ID: "subnet-b1", Zone: "b", Prefix: netip.MustParsePrefix("10.1.16.0/20"), Gateway: netip.MustParseAddr("10.1.16.1")},
	}
	such.Subnets, such.Groups = []string{"subnet-a1", "subnet-b1"}, []string{"sg-1"}
	cloudBubble(t, cloud, func(n *nic.Network) { n.Cloud = such }, func(t *testing.T, r *rig) {
		whole := r.networks[len(r.networks)-1]
		whole.Name, whole.Cloud.Movable, whole.Cloud.Shared = "whole", false, false
		r.networks = append(r.networks, whole)
		r.crash()
		tr := onTheRoad(r, "vpc")
		tr.second = "whole"
		test(t, tr)
	})
}

// A container moves there and back by its address: the same address each time, on an
// interface with the MAC of another NIC, and no NIC is left that was for the move. No
// two NICs ever have the address, and no container has it before its NIC has.
func TestAMoveByAddress(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		for _, lag := range []time.Duration{0, 3 * time.Second} {
			cloud := fake.Options{Latency: fake.Latency{Create: time.Second, Attach: 2 * time.Second, Detach: 2 * time.Second, Assign: lag}}
			byAddress(t, cloud, nic.Cloud{Movable: true, Shared: shared}, func(t *testing.T, tr *trip) {
				was := tr.now()
				addr := was.Identity.Addrs[0].Addr()
				before, _ := tr.wish("vm1", was.NIC)
				room, err := tr.alloc.MoveRoom(t.Context(), tr.claims, "vm2")
				if err != nil || len(room.Refusals) > 0 || len(room.NICs) != 1 || room.NICs[0].Travel != string(provider.Readdress) {
					t.Fatalf("room is %+v, %v", room, err)
				}
				tr.begin()
				tr.until("a place is ready on vm2", func() bool { return tr.at().NextPhase == nic.PhaseCarrying })
				if w, ok := tr.wish("vm2", was.NIC); ok || tr.at().Node != "vm1" || tr.cloud.Counts()[fake.OpAssign].Calls > 0 {
					t.Errorf("ahead of the move vm2 is told %+v", w)
				}
				tr.leave()
				tr.watched(addr, "in on vm2", tr.in("vm2"))
				tr.finish()
				tr.sameIdentity(was)
				now, _ := tr.wish("vm2", was.NIC)
				if kind := map[bool]nic.DeviceKind{false: nic.Found, true: nic.Ipvlan}[shared]; now.Device.Kind != kind || before.Device.Kind != kind || now.Device.MAC == before.Device.MAC {
					t.Errorf("on vm1 it was %+v, on vm2 it is %+v", before.Device, now.Device)
				}
				tr.until("the NIC of before is gone", func() bool { return len(tr.cloud.World()) == 1 })
				if c := tr.cloud.Counts(); c[fake.OpCreate].Effects != 2 || c[fake.OpAssign].Effects != 1 || c[fake.OpAssign].Calls != 1 {
					t.Errorf("the cloud has done %+v", c)
				}
				tr.nothingLeft()
			})
		}
	}
}

// watched is until, and wants the address on one NIC all the time.
func (tr *trip) watched(addr netip.Addr, what string, is func() bool) {
	tr.t.Helper()
	tr.until(what, func() bool {
		if on := tr.cloud.Holders(addr); len(on) != 1 {
			tr.t.Errorf("%s is on %v", addr, on)
		}
		return is()
	})
}

// F03: an answer to Assign is lost, and a call fails. It is asked for once more, until
// there is an answer: what is shown may be of a move before, and the same again is done
// but once.
func TestF03_TheAnswerToAssignIsLost(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		byAddress(t, fake.Options{}, nic.Cloud{Movable: true}, func(t *testing.T, tr *trip) {
			was := tr.now()
			if lost {
				tr.cloud.Lose(fake.OpAssign)
			} else {
				tr.cloud.Fail(fake.OpAssign, &provider.Error{Kind: provider.ErrThrottled})
			}
			tr.begin()
			tr.leave()
			tr.watched(was.Identity.Addrs[0].Addr(), "in on vm2", tr.in("vm2"))
			tr.finish()
			tr.sameIdentity(was)
			if c := tr.cloud.Counts()[fake.OpAssign]; c.Effects != 1 || c.Calls != 2 {
				t.Errorf("lost %t: assigned %+v", lost, c)
			}
			tr.nothingLeft()
		})
	}
}

// The controller dies all the time, and the move turns back and on again.
func TestF50_AMoveByAddressOfAControllerThatDies(t *testing.T) {
	t.Parallel()
	for step := 1; step <= 8; step++ {
		cloud := fake.Options{Latency: fake.Latency{Create: 300 * time.Millisecond, Attach: 500 * time.Millisecond, Detach: 500 * time.Millisecond, Assign: 400 * time.Millisecond}}
		byAddress(t, cloud, nic.Cloud{Movable: true, Shared: step%2 == 0}, func(t *testing.T, tr *trip) {
			was := tr.now()
			addr := was.Identity.Addrs[0].Addr()
			every := time.Duration(step) * 70 * time.Millisecond
			dies := func(node string) {
				for range 3 {
					tr.watched(addr, "on its way", func() bool { return true })
					tr.obey()
					tr.wait(every)
					tr.crash()
				}
				tr.bring(node)
			}
			tr.begin()
			tr.leave()
			dies("vm2")
			tr.goBack()
			tr.bring("vm1")
			dies("vm1")
			tr.watched(addr, "in on vm1", tr.in("vm1"))
			tr.stopAndStart()
			dies("vm2")
			tr.watched(addr, "in on vm2", tr.in("vm2"))
			tr.finish()
			tr.crash()
			tr.sameIdentity(was)
			tr.nothingLeft()
			if made := tr.made(); made != 2 {
				t.Errorf("%d NICs were made", made)
			}
		})
	}
}

// Until the source has said that it is clean, the address stays where it is (P1).
func TestP1_AnAddressStaysUntilItsNodeIsDoneWithIt(t *testing.T) {
	t.Parallel()
	byAddress(t, fake.Options{}, nic.Cloud{Movable: true}, func(t *testing.T, tr *trip) {
		tr.begin()
		tr.frozen["vm1"] = true
		tr.leave()
		for range 100 {
			tr.obey()
			tr.wait(time.Second)
		}
		if c := tr.cloud.Counts()[fake.OpAssign]; c.Calls != 0 || tr.at().Node != "vm1" {
			t.Errorf("assigned %+v, it is %+v", c, tr.at())
		}
		tr.frozen["vm1"] = false
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
		tr.nothingLeft()
	})
}

// A move is refused early, with every reason: the zone and so the subnet, and no slot
// for a NIC that could have the address.
func TestAMoveByAddressIsRefused(t *testing.T) {
	t.Parallel()
	byAddress(t, fake.Options{NICsPerInstance: 1}, nic.Cloud{Movable: true}, func(t *testing.T, tr *trip) {
		if _, err := tr.alloc.Hello(t.Context(), "vm3", nic.Inventory{Boot: "b3"}); err != nil {
			t.Fatal(err)
		}
		foreign := nic.NewID()
		if _, err := tr.cloud.Create(t.Context(), nic.Spec{NIC: foreign, Cloud: nic.CloudSpec{Subnet: "subnet-a1"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.cloud.Attach(t.Context(), foreign, nic.Place{Node: "vm2", Instance: "vm2"}); err != nil {
			t.Fatal(err)
		}
		for to, want := range map[string]string{"vm2": "0 slots free on vm2", "vm3": `the NIC is in zone "a", and the instance is in zone "b"`} {
			room, err := tr.alloc.MoveRoom(t.Context(), tr.claims, to)
			if err != nil || len(room.Refusals) != 1 || !strings.Contains(room.Refusals[0].Why, want) {
				t.Errorf("to %s: %+v, %v", to, room.Refusals, err)
			}
			if _, err := tr.alloc.BeginMove(t.Context(), tr.move, tr.claims, to, "web-b"); !errors.Is(err, allocator.ErrRefused) {
				t.Errorf("begun to %s: %v", to, err)
			}
		}
	})
}

// A provider that takes no address from one NIC to another refuses, and a NIC that
// was made before its network's addresses went alone goes along as a whole.
func TestWhatDoesNotMoveByAddress(t *testing.T) {
	t.Parallel()
	byAddress(t, fake.Options{}, nic.Cloud{Movable: true}, func(t *testing.T, tr *trip) {
		whole := tr.claim(tr.acquireOther("a002", "whole"))
		tr.runs[sandbox("a002")] = true
		tr.until("bound", func() bool { return tr.claim(whole.ID).Phase == nic.ClaimBound })
		tr.stop()
		tr.networks[len(tr.networks)-1].Cloud.Movable = true
		tr.via = struct{ provider.Provider }{tr.cloud}
		tr.start()
		travels := func(claim nic.ClaimID, want provider.Travel, refusal string) {
			t.Helper()
			room, err := tr.alloc.MoveRoom(t.Context(), []nic.ClaimID{claim}, "vm2")
			if err != nil || room.NICs[0].Travel != string(want) || (len(room.Refusals) > 0) != (refusal != "") || !strings.Contains(fmt.Sprint(room.Refusals), refusal) {
				t.Errorf("%+v, %v", room, err)
			}
		}
		travels(whole.ID, provider.Carry, "")
		travels(tr.claims[0], provider.Readdress, "takes no address from one NIC to another")
	})
}
