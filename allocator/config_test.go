package allocator_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// configure starts the controller again with the networks that keep says.
func (r *rig) configure(keep func(nic.Network) bool) {
	r.t.Helper()
	r.networks = nil
	for _, n := range networks() {
		if keep(n) {
			r.networks = append(r.networks, n)
		}
	}
	r.crash()
}

// P4: a network that is gone from the config takes nothing away from the
// containers that have a NIC of it; new NICs there are none.
func TestP4_ANetworkGoneFromTheConfigLeavesItsContainers(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)
		r.wants(r.acquire("0002", "lab").ID, nic.ClaimReady, time.Second)
		layer3 := func() (all []nic.Layer3) {
			wanted, _, err := r.alloc.Wanted(t.Context(), "vm1", 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range wanted {
				all = append(all, w.Layer3)
			}
			return all
		}
		before := layer3()
		r.configure(func(n nic.Network) bool { return n.Name == "web2" })
		for i, after := range layer3() {
			if b := before[i]; after.DHCP != b.DHCP || !slices.Equal(after.Addrs, b.Addrs) || !slices.Equal(after.Gateways, b.Gateways) ||
				after.IPv6 != b.IPv6 || after.DefaultRoute != b.DefaultRoute {
				t.Errorf("before %+v\nafter  %+v", b, after)
			}
		}
		if got := r.acquire("0003", "web"); got.Phase != nic.ClaimRefused || got.Conditions[0].Reason != nic.ReasonUnknownNetwork {
			t.Errorf("a new one is %s with %+v, want refused", got.Phase, got.Conditions)
		}
	})
}

// What refuses a claim may become something else; people must see the latest.
func TestARefusalIsUpToDate(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.acquire("0001", "web", "10.0.0.20")
		thief := r.acquire("0002", "web", "10.0.0.20")
		r.configure(func(n nic.Network) bool { return n.Name != "web" })
		r.acquire("0002", "web", "10.0.0.20") // the agent's resync
		got := r.claim(thief.ID)
		if len(got.Conditions) != 1 || got.Conditions[0].Reason != nic.ReasonUnknownNetwork {
			t.Errorf("claim says %+v, want UnknownNetwork", got.Conditions)
		}
	})
}

// A stopped container's claim must not go on waiting for what has happened.
func TestAWaitThatIsOverIsNotShown(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)
		r.report(claim, nic.ObservedMade, false)
		r.wait(2 * time.Minute) // the hold is over
		if got := r.claim(claim.ID); len(got.Conditions) != 1 || got.Conditions[0].Reason != nic.ReasonWaitingForNode {
			t.Fatalf("claim says %+v, want WaitingForNode", got.Conditions)
		}
		r.report(claim, nic.ObservedClean, false)
		r.wait(time.Minute)
		if got := r.claim(claim.ID); got.NIC != "" || len(got.Conditions) != 0 {
			t.Errorf("claim has NIC %q and says %+v, want neither", got.NIC, got.Conditions)
		}
	})
}

// Nor does one whose node has said that the NIC is out and clean wait for the node, while
// its provider takes its time.
func TestTheNodesWordEndsTheWaitForIt(t *testing.T) {
	slow := fake.Options{Latency: fake.Latency{Detach: 5 * time.Minute}}
	bubble(t, slow, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)
		claim = r.release(claim.ID)
		r.wait(time.Second)
		if got := r.claim(claim.ID); reason(got) != nic.ReasonWaitingForNode {
			t.Fatalf("claim says %+v, want WaitingForNode", got.Conditions)
		}
		r.report(claim, nic.ObservedClean, false)
		r.wait(time.Second)
		if got := r.claim(claim.ID); len(got.Conditions) != 0 {
			t.Errorf("claim says %+v; it waits for its provider, and not for long yet", got.Conditions)
		}
		r.wait(time.Minute)
		if got := r.claim(claim.ID); len(got.Conditions) != 1 || reason(got) != nic.ReasonWaitingForProvider {
			t.Errorf("claim says %+v, want WaitingForProvider", got.Conditions)
		}
	})
}

// A claim without a NIC ends: its node must hear of it, or it goes on
// releasing it for ever.
func TestTheNodeHearsOfAClaimsEnd(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		refused := r.acquire("0001", "nope")
		r.wait(time.Second)
		_, rev, err := r.alloc.Wanted(t.Context(), "vm1", 0)
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan uint64, 1)
		go func() {
			next, err := r.alloc.WaitChange(t.Context(), "vm1", rev)
			if err != nil {
				t.Error(err)
			}
			got <- next
		}()
		if err := r.alloc.Release(t.Context(), refused.ID, refused.Epoch); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Second)
		select {
		case <-got:
		default:
			t.Error("nobody told vm1")
			r.acquire("0002", "web") // ends the wait
			<-got
		}
	})
}

// P1: a MAC that a provider drew is not the claim's reservation, and the end
// of the claim must not take another's.
func TestAClaimEndsOnlyItsOwnReservations(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)
		other := nic.NewClaimID()
		key := "mac/" + claim.Identity.MAC.String()
		mine, err := r.store.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		op, err := store.UpdateJSON(key, other, mine.Rev) // as if another had it
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.store.Commit(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
			t.Fatal(err)
		}
		r.report(claim, nic.ObservedClean, false)
		r.wait(time.Minute)
		if got, err := r.store.Get(t.Context(), key); err != nil || !strings.Contains(string(got.Value), string(other)) {
			t.Errorf("reservation is %s, %v; want that of %s", got.Value, err, other)
		}
	})
}

// A provider's name may be mistyped for a while. Once it is back, nothing
// complains any more.
func TestAProviderThatIsBackIsNotMissed(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)
		r.stop()
		r.startWith(allocator.Options{Store: r.store})
		r.wait(time.Second)
		if got := r.claim(claim.ID); len(got.Conditions) != 2 || got.Conditions[0].Reason != nic.ReasonProviderError || got.Conditions[1].Reason != nic.ReasonConfigChanged {
			t.Fatalf("claim says %+v, want ProviderError and ConfigChanged", got.Conditions)
		}
		r.crash()
		r.wait(time.Second)
		n, err := r.alloc.NIC(t.Context(), claim.NIC)
		if got := r.claim(claim.ID); err != nil || len(got.Conditions) != 0 || len(n.Conditions) != 0 {
			t.Errorf("claim says %+v, NIC says %+v, %v; want nothing", got.Conditions, n.Conditions, err)
		}
	})
}
