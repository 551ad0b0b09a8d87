package allocator_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// inTheCloud is a cloud of two zones that draws MACs and gives addresses: vm1 is in
// the first one, vm2 in the other.
func inTheCloud() fake.Options {
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	return fake.Options{
		DrawsMACs: true,
		Zones:     map[nic.InstanceID]string{"vm1": "a", "vm2": "b"},
		Subnets: []fake.Subnet{
			{ID: "subnet-a1", Zone: "a", Prefix: prefix("10.1.0.0/20"), Prefix6: prefix("fd01::/64"), Gateway: addr("10.1.0.1"), NICs: 1},
			{ID: "subnet-a2", Zone: "a", Prefix: prefix("10.1.16.0/20"), Gateway: addr("10.1.16.1"), NICs: 1},
			{ID: "subnet-b1", Zone: "b", Prefix: prefix("10.1.32.0/20"), Gateway: addr("10.1.32.1")},
		},
		Device: func(_ nic.Spec, mac nic.MAC) nic.Device { return nic.Device{Kind: nic.Found, MAC: mac, MTU: 9001} },
	}
}

// cloudNetwork is a network of that cloud.
func cloudNetwork() nic.Network {
	return nic.Network{
		Name: "vpc", Provider: "fake", Addressing: nic.AddrProvider, Space: "default", Hold: nic.Duration(time.Minute),
		Cloud: nic.Cloud{
			Subnets: []string{"subnet-a1", "subnet-a2", "subnet-b1"}, Pick: nic.PickOrdered, Groups: []string{"sg-1"}, IPv6: true,
			Tags: map[string]string{"team": "web"},
		},
	}
}

// cloudBubble is bubble with a cloud, and with the network that edit makes of vpc.
func cloudBubble(t *testing.T, cloud fake.Options, edit func(n *nic.Network), test func(t *testing.T, r *rig)) {
	t.Helper()
	bubble(t, cloud, func(t *testing.T, r *rig) {
		n := cloudNetwork()
		edit(&n)
		r.networks = append(r.networks, n)
		r.crash()
		test(t, r)
	})
}

// placed is the spec of a claim's NIC.
func (r *rig) placed(claim nic.Claim) nic.Spec {
	r.t.Helper()
	n, err := r.alloc.NIC(r.t.Context(), claim.NIC)
	if err != nil {
		r.t.Fatal(err)
	}
	return n.Spec
}

// A cloud's NIC is made as its network says, in a subnet of its node's zone, and has
// the addresses, the gateway and the MTU that the cloud says.
func TestACloudsNIC(t *testing.T) {
	for _, mtu := range []int{0, 1500} {
		cloudBubble(t, inTheCloud(), func(n *nic.Network) { n.MTU = mtu }, func(t *testing.T, r *rig) {
			claim := r.wants(r.acquire("0001", "vpc").ID, nic.ClaimReady, time.Second)
			spec := r.placed(claim).Cloud
			want := "{Subnets:[] Pick: Zone:a Subnet:subnet-a1 Groups:[sg-1] IPv6:true Prefixes:0 PublicIP:false Forwards:false Tags:map[team:web] Secondary:0 Trunk:false Floating:[]}"
			if got := fmt.Sprintf("%+v", spec); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if got := fmt.Sprint(claim.Identity.Addrs); got != "[10.1.0.4/20 fd01::4/64]" || !claim.Identity.Given || claim.Identity.MAC.IsZero() {
				t.Errorf("identity %+v", claim.Identity)
			}
			l3 := r.layer3(claim.ID)
			if fmt.Sprint(l3.Addrs) != "[10.1.0.4/20 fd01::4/64]" || fmt.Sprint(l3.Gateways) != "[10.1.0.1]" || !l3.IPv6 || l3.DHCP || !l3.DefaultRoute || l3.Metadata {
				t.Errorf("the node is told %+v", l3)
			}
			wanted, _, err := r.alloc.Wanted(t.Context(), "vm1", 0)
			if wantMTU := max(mtu, 9001*(1-min(mtu, 1))); err != nil || len(wanted) != 1 || wanted[0].Device.MTU != wantMTU {
				t.Errorf("%v; want MTU %d, %+v", err, wantMTU, wanted)
			}
			r.crash() // what the cloud said is in the records
			if got := r.layer3(claim.ID); fmt.Sprint(got.Gateways) != "[10.1.0.1]" {
				t.Errorf("another controller tells %+v", got)
			}
			r.configure(func(n nic.Network) bool { return n.Name != "vpc" })
			if got := r.layer3(claim.ID); fmt.Sprint(got.Gateways, got.Addrs) != fmt.Sprint(l3.Gateways, l3.Addrs) {
				t.Errorf("without its network it is told %+v", got)
			}
		})
	}
}

// F03: where a NIC is made is stored before it is asked for, so that the same is
// asked for again, although there is another choice by then.
func TestF03_APlacementIsAskedForAgain(t *testing.T) {
	cloudBubble(t, inTheCloud(), func(n *nic.Network) { n.Cloud.Pick = nic.PickMostFree }, func(t *testing.T, r *rig) {
		r.cloud.Lose(fake.OpCreate)
		r.crash()
		claim := r.wants(r.acquire("0001", "vpc").ID, nic.ClaimReady, 10*time.Second)
		if got := r.placed(claim).Cloud.Subnet; got != "subnet-a1" {
			t.Errorf("it is in %s", got)
		}
		if all := r.cloud.Counts(); all[fake.OpCreate].Effects != 1 || all[fake.OpCreate].Calls < 2 || all[fake.OpPlace].Calls != 1 {
			t.Errorf("calls %+v; want one NIC, asked for twice, placed once", all)
		}
	})
}

// A subnet that is full is passed over; when all of a zone's are, the claim says so
// and is tried again by itself, without haste.
func TestAFullSubnet(t *testing.T) {
	cloudBubble(t, inTheCloud(), func(*nic.Network) {}, func(t *testing.T, r *rig) {
		r.joinVM2()
		first := r.wants(r.acquire("0001", "vpc").ID, nic.ClaimReady, time.Second)
		second := r.wants(r.acquire("0002", "vpc").ID, nic.ClaimReady, time.Second)
		if a, b := r.placed(first).Cloud.Subnet, r.placed(second).Cloud.Subnet; a != "subnet-a1" || b != "subnet-a2" {
			t.Errorf("in %s and %s", a, b)
		}
		third := r.wants(r.acquire("0003", "vpc").ID, nic.ClaimRefused, time.Second)
		if reason(third) != nic.ReasonExhausted || !strings.Contains(third.Conditions[0].Message, "no free address in any subnet of zone") {
			t.Errorf("refused with %+v", third.Conditions)
		}
		elsewhere, err := r.alloc.Acquire(t.Context(), nic.Owner{Node: "vm2", Kind: nic.OwnerContainer, Sandbox: sandbox("0004"), Interface: "eth0"}, "0004",
			nic.Request{Interface: "eth0", Network: "vpc"})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.placed(r.wants(elsewhere.ID, nic.ClaimReady, time.Second)).Cloud.Subnet; got != "subnet-b1" {
			t.Errorf("in another zone it is in %s", got)
		}
		before := r.cloud.Counts()[fake.OpPlace].Calls
		r.wait(10 * time.Minute)
		if tries := r.cloud.Counts()[fake.OpPlace].Calls - before; tries < 5 || tries > 11 {
			t.Errorf("tried %d times in ten minutes", tries)
		}
		r.remove(first.ID)
		if got := r.placed(r.wants(third.ID, nic.ClaimReady, 2*time.Minute)).Cloud.Subnet; got != "subnet-a1" {
			t.Errorf("then it is in %s", got)
		}
	})
}

// A subnet that filled up after it was chosen costs one try.
func TestASubnetFillsUpMeanwhile(t *testing.T) {
	cloudBubble(t, inTheCloud(), func(n *nic.Network) { n.Cloud.Subnets = []string{"subnet-a1"} }, func(t *testing.T, r *rig) {
		r.cloud.Fail(fake.OpCreate, &provider.Error{Kind: provider.ErrExhausted, Scope: provider.ScopeSubnet})
		claim := r.acquire("0001", "vpc")
		r.wait(time.Second)
		if got := r.claim(claim.ID); reason(got) != nic.ReasonExhausted {
			t.Errorf("first it is %+v", got)
		}
		r.wants(claim.ID, nic.ClaimReady, 10*time.Second)
	})
}

// What is plugged in ahead serves a claim without a call, unless the network makes
// its NICs otherwise by now.
func TestACloudsSpares(t *testing.T) {
	o := inTheCloud()
	o.Subnets[0].NICs = 0
	cloudBubble(t, o, func(n *nic.Network) { n.Pool = nic.Pool{Min: 1, Max: 1} }, func(t *testing.T, r *rig) {
		r.live(5 * time.Second)
		old := r.count(nic.PhaseSpare, 1)[0]
		r.change("vpc", func(n *nic.Network) { n.Cloud.Groups = []string{"sg-2"} })
		r.live(30 * time.Second)
		spare := r.count(nic.PhaseSpare, 1)[0]
		if spare.ID == old.ID || !slices.Equal(spare.Spec.Cloud.Groups, []string{"sg-2"}) {
			t.Errorf("the spare is %+v", spare.Spec)
		}
		before := len(r.asksOf(spare.ID))
		claim := r.acquire("0001", "vpc")
		if asked := r.asksOf(spare.ID)[before:]; claim.Phase != nic.ClaimReady || claim.NIC != spare.ID || len(asked) > 0 || len(claim.Identity.Addrs) != 2 {
			t.Errorf("calls %+v for %+v", asked, claim)
		}
		if got := r.layer3(claim.ID); fmt.Sprint(got.Gateways) != "[10.1.0.1]" {
			t.Errorf("the node is told %+v", got)
		}
	})
}

// A NIC does not leave its zone: the plan of a move says so before anything is
// stopped.
func TestACloudsNICStaysInItsZone(t *testing.T) {
	o := inTheCloud()
	o.Zones["vm3"] = "a"
	cloudBubble(t, o, func(*nic.Network) {}, func(t *testing.T, r *rig) {
		r.joinVM2()
		if _, err := r.alloc.Hello(t.Context(), "vm3", nic.Inventory{Boot: "b3"}); err != nil {
			t.Fatal(err)
		}
		claim := r.wants(r.acquire("0001", "vpc").ID, nic.ClaimReady, time.Second)
		for node, refused := range map[string]bool{"vm2": true, "vm3": false} {
			room, err := r.alloc.MoveRoom(t.Context(), []nic.ClaimID{claim.ID}, node)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(room.Refusals); strings.Contains(got, "zone") != refused || len(room.Refusals) > 0 != refused {
				t.Errorf("to %s: %+v", node, room.Refusals)
			}
		}
	})
}

// A cloud's NIC whose record was lost gets one from which it is known as what it is:
// it stays in its subnet's zone, and its cloud is not asked for the MAC that it drew.
func TestACloudsNICIsRestored(t *testing.T) {
	cloudBubble(t, inTheCloud(), func(*nic.Network) {}, func(t *testing.T, r *rig) {
		claim := r.bound("a001", "vpc")
		defer r.answers(allOf(claim))()
		r.drop("nic/" + string(claim.NIC))
		r.audit(true, api.FindingClaimWithoutNIC)
		r.wait(5 * time.Second)
		if spec := r.placed(claim); spec.Cloud.Subnet != "subnet-a1" || spec.Cloud.Subnets != nil || !spec.MAC.IsZero() || spec.NIC != claim.NIC {
			t.Errorf("its spec is %+v", spec)
		}
		r.joinVM2()
		room, err := r.alloc.MoveRoom(t.Context(), []nic.ClaimID{claim.ID}, "vm2")
		if err != nil || !strings.Contains(fmt.Sprint(room.Refusals), "zone") {
			t.Errorf("a move to another zone: %+v, %v", room.Refusals, err)
		}
		r.remove(claim.ID)
		r.wait(time.Minute)
		r.empty()
	})
}

// A cloud's NIC that was deleted by hand cannot be had again. Its node is asked to look,
// which is no failure; it misses the NIC, and the claim gets another.
func TestACloudsNICIsDeletedByHand(t *testing.T) {
	cloudBubble(t, inTheCloud(), func(*nic.Network) {}, func(t *testing.T, r *rig) {
		claim := r.bound("a001", "vpc")
		defer r.answers(allOf(claim))()
		err := errors.Join(r.cloud.Detach(t.Context(), claim.NIC, "vm1"), r.cloud.Delete(t.Context(), claim.NIC))
		if err != nil {
			t.Fatal(err)
		}
		r.audit(true, api.FindingNotAtProvider)
		wanted, _, err := r.alloc.Wanted(t.Context(), "vm1", 0)
		if err != nil || len(wanted) != 1 || wanted[0].Again == 0 {
			t.Fatalf("the node was not asked to look: %+v, %v", wanted, err)
		}
		err = r.alloc.Report(t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{{
			NIC: claim.NIC, Claim: claim.ID, Epoch: claim.Epoch, State: nic.ObservedWaiting, Running: true,
			Conditions: []nic.Condition{{Reason: nic.ReasonWaitingForNIC}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		if now := r.claim(claim.ID); now.Phase != nic.ClaimPending || !strings.Contains(fmt.Sprint(now.Conditions), "knows nothing of the NIC") {
			t.Errorf("the claim is %+v", now)
		}
	})
}

// Where a NIC's slot is missing, that of one in reserve is given to a container that
// runs, although nothing of the claim was reserved.
func TestACloudsSparesMakeRoom(t *testing.T) {
	o := inTheCloud()
	o.NICsPerInstance = 1
	cloudBubble(t, o, func(n *nic.Network) { n.Cloud.Subnets = []string{"subnet-a1", "subnet-a2"} }, func(t *testing.T, r *rig) {
		other := cloudNetwork()
		other.Name, other.Pool = "ahead", nic.Pool{Min: 1, Max: 1}
		r.networks = append(r.networks, other)
		r.crash()
		r.live(5 * time.Second)
		r.count(nic.PhaseSpare, 1)
		claim := r.acquire("0001", "vpc")
		r.live(time.Minute)
		if got := r.claim(claim.ID); got.Phase != nic.ClaimBound {
			t.Errorf("the claim is %+v", got)
		}
	})
}
