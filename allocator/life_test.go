package allocator_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// slow is a cloud with the manners of a real one.
var slow = fake.Options{
	Latency:  fake.Latency{Create: time.Second, Attach: 5 * time.Second, Detach: 10 * time.Second, Delete: time.Second},
	Lag:      2 * time.Second,
	CallTime: 200 * time.Millisecond,
}

func TestALifeFromStartToRemoval(t *testing.T) {
	bubble(t, slow, func(t *testing.T, r *rig) {
		begin := time.Now()
		claim := r.acquire("0001", "web")
		if claim.Phase != nic.ClaimPending || time.Since(begin) != 0 {
			t.Errorf("Acquire returned %s after %s; want pending at once", claim.Phase, time.Since(begin))
		}
		if got := claim.Identity.Addrs; len(got) != 2 || got[0].String() != "10.0.0.10/24" || got[1].String() != "fd00::10/64" {
			t.Errorf("got addresses %v, want the first of each range", got)
		}
		r.wait(3 * time.Second)
		if c := r.claim(claim.ID).Conditions; len(c) != 1 || c[0].Reason != nic.ReasonWaitingForProvider || c[0].Deadline.IsZero() {
			t.Errorf("while the cloud is at it: %+v; want a named wait with a deadline", c)
		}
		claim = r.wants(claim.ID, nic.ClaimReady, time.Minute)
		if len(claim.Conditions) != 0 {
			t.Errorf("once ready: %+v; want no condition", claim.Conditions)
		}
		wanted, _, err := r.alloc.Wanted(t.Context(), "vm1", 0)
		if err != nil || len(wanted) != 1 {
			t.Fatalf("wanted: %v, %v; want one NIC", wanted, err)
		}
		w := wanted[0]
		if w.NIC != claim.NIC || w.Gone || w.Device.MAC != claim.Identity.MAC || len(w.Layer3.Addrs) != 2 ||
			!w.Layer3.IPv6 || !w.Layer3.DefaultRoute || len(w.Layer3.Gateways) != 1 {
			t.Errorf("wanted %+v", w)
		}
		r.report(claim, nic.ObservedIn, true)
		r.wants(claim.ID, nic.ClaimBound, time.Second)

		if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Hour)
		if got := r.claim(claim.ID); got.Phase != nic.ClaimReleasing {
			t.Fatalf("claim is %s; want releasing until the node says clean", got.Phase)
		}
		if wanted, _, _ := r.alloc.Wanted(t.Context(), "vm1", 0); len(wanted) != 1 || !wanted[0].Gone {
			t.Errorf("wanted %+v, want the NIC gone", wanted)
		}
		r.report(claim, nic.ObservedClean, false)
		r.wait(time.Minute)
		r.empty()
	})
}

func TestAcquireIsIdempotent(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		first := r.acquire("0001", "web")
		for range 10 {
			if again := r.acquire("0001", "web"); again.ID != first.ID || again.NIC != first.NIC {
				t.Fatalf("got %s with %s, want %s with %s", again.ID, again.NIC, first.ID, first.NIC)
			}
		}
		r.wait(time.Second)
		if seen, _ := r.cloud.List(t.Context()); len(seen) != 1 {
			t.Errorf("%d NICs in the cloud, want 1", len(seen))
		}
	})
}

func TestAFixedAddressHasOneHolder(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		first := r.acquire("0001", "web", "10.0.0.20", "fd00::20")
		second := r.acquire("0002", "web", "10.0.0.20")
		if second.Phase != nic.ClaimRefused || second.NIC != "" || len(second.Conditions) != 1 {
			t.Fatalf("second claim: %+v; want refused without a NIC", second)
		}
		why := second.Conditions[0]
		if why.Reason != nic.ReasonAddressTaken || !strings.Contains(why.Message, `10.0.0.20 is held by container "0001" on vm1`) {
			t.Errorf("refused with %s: %s", why.Reason, why.Message)
		}
		r.wants(first.ID, nic.ClaimReady, time.Second)
		if err := r.alloc.Release(t.Context(), first.ID, first.Epoch); err != nil {
			t.Fatal(err)
		}
		r.report(first, nic.ObservedClean, false)
		// What refused it has changed: it is tried again without being asked.
		got := r.wants(second.ID, nic.ClaimReady, time.Minute)
		if len(got.Conditions) != 0 || got.Identity.Addrs[0].String() != "10.0.0.20/24" {
			t.Errorf("got %+v, want the address and no condition", got)
		}
	})
}

func TestRefusalsSayWhy(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		for range 3 {
			r.acquire("000"+string(rune('1'+len(r.claims()))), "web")
		}
		for _, c := range []struct {
			name, network, addr string
			reason              nic.Reason
			says                string
		}{
			{"0011", "nope", "", nic.ReasonUnknownNetwork, `no network "nope"`},
			{"0012", "web", "", nic.ReasonExhausted, "every address of 10.0.0.10-10.0.0.12 is taken: 3 of 3 held; held by container \"0001\" on vm1"},
			{"0013", "web", "10.9.0.1", nic.ReasonAddressNotAllowed, "in none of the subnets of network web"},
			{"0014", "web", "10.0.0.1", nic.ReasonAddressNotAllowed, "is the gateway"},
			{"0017", "web2", "10.0.0.1", nic.ReasonAddressNotAllowed, "is the gateway of network web"},
			{"0015", "lab", "10.0.0.20", nic.ReasonBadRequest, "gets its addresses by DHCP"},
		} {
			var addrs []string
			if c.addr != "" {
				addrs = append(addrs, c.addr)
			}
			claim := r.acquire(c.name, c.network, addrs...)
			if claim.Phase != nic.ClaimRefused || claim.Conditions[0].Reason != c.reason || !strings.Contains(claim.Conditions[0].Message, c.says) {
				t.Errorf("%s: got %s %+v; want %s with %q", c.name, claim.Phase, claim.Conditions, c.reason, c.says)
			}
		}
		if got := r.acquire("0018", "web2").Identity.Addrs; len(got) != 1 || got[0].String() != "10.0.0.2/24" {
			t.Errorf("got %v, want 10.0.0.2: 10.0.0.1 is web's gateway", got)
		}
		image, err := r.alloc.Acquire(t.Context(), owner("0019"), "x", nic.Request{Interface: "eth0", Network: "web", FromImage: true})
		if err != nil || image.Phase != nic.ClaimRefused || image.Conditions[0].Reason != nic.ReasonImageLabel {
			t.Errorf("label of the image: %+v, %v", image, err)
		}
		bad, err := r.alloc.Acquire(t.Context(), owner("0016"), "x", nic.Request{Interface: "eth0", Faults: nic.Faults{{Field: "nicferry.ip", Problem: "is no address"}}})
		if err != nil || bad.Phase != nic.ClaimRefused || bad.Conditions[0].Reason != nic.ReasonBadRequest {
			t.Errorf("unreadable label: %+v, %v", bad, err)
		}
	})
}

func (r *rig) claims() []nic.Claim {
	views, err := r.alloc.Claims(r.t.Context(), "", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	var claims []nic.Claim
	for _, v := range views {
		claims = append(claims, v.Claim)
	}
	return claims
}

// A stopped container keeps its NIC for the hold, its identity as long as it
// exists.
func TestHoldThenBackWithTheSameIdentity(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)
		r.report(claim, nic.ObservedIn, true)
		r.report(claim, nic.ObservedMade, false) // docker stop
		r.wait(30 * time.Second)
		if got := r.acquire("0001", "web"); got.NIC != claim.NIC || !got.StoppedAt.IsZero() {
			t.Fatalf("restart within the hold: got NIC %s, want %s", got.NIC, claim.NIC)
		}
		r.report(claim, nic.ObservedIn, true)
		r.report(claim, nic.ObservedMade, false)
		r.wait(2 * time.Minute) // the hold is over
		if got := r.claim(claim.ID); got.Phase != nic.ClaimPending {
			t.Fatalf("after the hold the claim is %s, want pending", got.Phase)
		}
		r.report(claim, nic.ObservedClean, false)
		r.wait(time.Second)
		if seen, _ := r.cloud.List(t.Context()); len(seen) != 0 {
			t.Errorf("after the hold the cloud still has %v", seen)
		}
		r.acquire("0001", "web")
		got := r.wants(claim.ID, nic.ClaimReady, time.Second)
		if got.NIC == claim.NIC || got.Identity.MAC != claim.Identity.MAC || !slices.Equal(got.Identity.Addrs, claim.Identity.Addrs) {
			t.Errorf("started again: got %s %+v, want a new NIC with %+v", got.NIC, got.Identity, claim.Identity)
		}
	})
}

func TestStaleWritersAreRefused(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)
		if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch+1); !errors.Is(err, allocator.ErrStale) {
			t.Errorf("other epoch: got %v, want ErrStale", err)
		}
		newer, err := r.alloc.Hello(t.Context(), "vm1", nic.Inventory{})
		if err != nil || newer.Session <= r.node.Session {
			t.Fatalf("second hello: %+v, %v", newer, err)
		}
		err = r.alloc.Report(t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{{NIC: claim.NIC, State: nic.ObservedIn}}})
		if !errors.Is(err, allocator.ErrStale) {
			t.Errorf("report of an older session: got %v, want ErrStale", err)
		}
		if _, _, err := r.alloc.Wanted(t.Context(), "vm1", r.node.Session); !errors.Is(err, allocator.ErrStale) {
			t.Errorf("question of an older session: got %v, want ErrStale", err)
		}
		if err := r.alloc.Release(t.Context(), nic.NewClaimID(), 1); err != nil {
			t.Errorf("a claim that is not there: got %v, want nil", err)
		}
	})
}

// A full node is told before anything is made.
func TestAFullNodeRefusesBeforeCreate(t *testing.T) {
	bubble(t, fake.Options{NICsPerInstance: 2}, func(t *testing.T, r *rig) {
		for _, name := range []string{"0001", "0002"} {
			r.wants(r.acquire(name, "lab").ID, nic.ClaimReady, time.Second)
		}
		creates := r.cloud.Counts()[fake.OpCreate]
		third := r.wants(r.acquire("0003", "lab").ID, nic.ClaimRefused, time.Second)
		if third.Conditions[0].Reason != nic.ReasonExhausted || !strings.Contains(third.Conditions[0].Message, "0 of 2 slots free") {
			t.Errorf("refused with %+v", third.Conditions)
		}
		if got := r.cloud.Counts()[fake.OpCreate]; got != creates {
			t.Errorf("create was called for it: %+v, before %+v", got, creates)
		}
		r.wait(time.Minute)
		first := r.claim(r.claims()[0].ID)
		if err := r.alloc.Release(t.Context(), first.ID, first.Epoch); err != nil {
			t.Fatal(err)
		}
	})
}

// F03: the cloud made the NIC and the reply was lost. There must be one NIC.
func TestF03_LostRepliesMakeNoSecondNIC(t *testing.T) {
	bubble(t, slow, func(t *testing.T, r *rig) {
		for _, op := range []string{fake.OpCreate, fake.OpCreate, fake.OpAttach, fake.OpDetach, fake.OpDelete} {
			r.cloud.Lose(op)
		}
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, 5*time.Minute)
		if seen, _ := r.cloud.List(t.Context()); len(seen) != 1 {
			t.Errorf("%d NICs in the cloud, want 1", len(seen))
		}
		if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
			t.Fatal(err)
		}
		r.report(claim, nic.ObservedClean, false)
		r.wait(5 * time.Minute)
		r.empty()
	})
}

// F02: whatever call fails, and however it is undone, nothing stays behind.
func TestF02_NoCallThatFailsLeavesAnOrphan(t *testing.T) {
	ops := []string{fake.OpLimits, fake.OpCreate, fake.OpAttach, fake.OpDetach, fake.OpDelete, fake.OpGet}
	kinds := []error{provider.ErrThrottled, provider.ErrBusy, provider.ErrUnknown, provider.ErrDenied, provider.ErrExhausted, provider.ErrInvalid}
	for _, op := range ops {
		for _, kind := range kinds {
			t.Run(op+" "+kind.Error(), func(t *testing.T) {
				bubble(t, slow, func(t *testing.T, r *rig) {
					r.cloud.Fail(op, kind)
					claim := r.acquire("0001", "web")
					r.wait(time.Minute)
					r.acquire("0001", "web") // the agent's resync
					claim = r.wants(claim.ID, nic.ClaimReady, 5*time.Minute)
					if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
						t.Fatal(err)
					}
					r.report(claim, nic.ObservedClean, false)
					r.wait(5 * time.Minute)
					r.empty()
				})
			})
		}
	}
}

// F50: the controller ends at any moment and another goes on from the store.
func TestF50_AnotherControllerGoesOn(t *testing.T) {
	for after := 100 * time.Millisecond; after < 12*time.Second; after += 700 * time.Millisecond {
		bubble(t, slow, func(t *testing.T, r *rig) {
			id := r.acquire("0001", "web").ID
			r.wait(after)
			r.crash()
			claim := r.wants(id, nic.ClaimReady, 5*time.Minute)
			if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
				t.Fatal(err)
			}
			r.wait(after)
			r.crash()
			r.report(claim, nic.ObservedClean, false)
			r.wait(after)
			r.crash()
			r.wait(5 * time.Minute)
			r.empty()
		})
	}
}

func TestWaitChangeWakesTheRightNode(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
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
		if _, err := r.alloc.Hello(t.Context(), "vm2", nic.Inventory{}); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Second)
		select {
		case <-got:
			t.Fatal("woken by what is no business of vm1")
		default:
		}
		r.acquire("0001", "web")
		if next := <-got; next <= rev {
			t.Errorf("woken with revision %d, want one after %d", next, rev)
		}
		if now, err := r.alloc.WaitChange(t.Context(), "vm1", 1<<40); err != nil || now >= 1<<40 {
			t.Errorf("a revision from the future: got %d, %v; want the present one at once", now, err)
		}
	})
}
