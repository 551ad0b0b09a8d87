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
	"github.com/nicferry/nicferry/provider/fake"
)

// A node that is lost keeps what is reserved for it, however long, until an
// operator forgets it.
func TestForgetNode(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		web := r.bound("a001", "web")
		r.bound("a002", "lab")
		if _, err := r.alloc.ForgetNode(t.Context(), "vm1", true); !errors.Is(err, allocator.ErrRefused) {
			t.Errorf("forget a node that reports: %v", err)
		}
		r.wait(ages())
		if _, err := r.alloc.Hello(t.Context(), "vm2", nic.Inventory{}); err != nil {
			t.Fatal(err)
		}
		thief := nic.Owner{Node: "vm2", Kind: nic.OwnerContainer, Sandbox: sandbox("b001"), Interface: "eth0"}
		want := nic.Request{Interface: "eth0", Network: "web", Addrs: []netip.Addr{web.Identity.Addrs[0].Addr()}}
		claim, err := r.alloc.Acquire(t.Context(), thief, "thief", want)
		if err != nil || claim.Phase != nic.ClaimRefused || claim.Conditions[0].Reason != nic.ReasonAddressTaken {
			t.Errorf("the address of a lost node was given: %+v, %v", claim, err)
		}
		r.onlyKnown(web.NIC, "the other")

		given, err := r.alloc.ForgetNode(t.Context(), "vm1", true)
		if err != nil || len(given.Claims) != 2 || len(given.NICs) != 2 {
			t.Fatalf("what would be given up is %+v, %v", given, err)
		}
		r.wait(time.Hour)
		r.onlyKnown(web.NIC, "the other")
		if _, err := r.alloc.ForgetNode(t.Context(), "vm1", false); err != nil {
			t.Fatal(err)
		}
		r.wait(10 * time.Second)
		if _, err := r.alloc.Node(t.Context(), "vm1"); !errors.Is(err, allocator.ErrNotFound) {
			t.Errorf("the node is there still: %v", err)
		}
		if _, err := r.alloc.ForgetNode(t.Context(), "vm1", false); !errors.Is(err, allocator.ErrNotFound) {
			t.Errorf("forget it again: %v", err)
		}
		for _, c := range given.Claims {
			if _, err := r.alloc.Claim(t.Context(), c.Claim); !errors.Is(err, allocator.ErrNotFound) {
				t.Errorf("claim %s is there still: %v", c.Claim, err)
			}
		}
		for _, id := range given.NICs {
			if got, err := r.cloud.Get(t.Context(), id); err != nil || len(got) > 0 {
				t.Errorf("NIC %s is at the provider still: %v, %v", id, got, err)
			}
		}
	})
}

// A controller that has just started cannot know who is silent.
func TestForgetNeedsAControllerThatHasWaited(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.wait(time.Hour)
		r.crash()
		if _, err := r.alloc.ForgetNode(t.Context(), "vm1", false); !errors.Is(err, allocator.ErrRefused) {
			t.Errorf("forget right after a start: %v", err)
		}
		r.wait(2 * time.Minute)
		if _, err := r.alloc.ForgetNode(t.Context(), "vm1", false); err != nil {
			t.Errorf("forget later: %v", err)
		}
	})
}

// A node is forgotten with all that it has in reserve, in whatever state, and
// with what its container names were to have again.
func TestForgetNodeWithSparesAndNames(t *testing.T) {
	bubblePools(t, pooled(8), map[string]nic.Pool{"web": {Min: 1, Max: 4, Idle: nic.Duration(24 * time.Hour)}}, func(t *testing.T, r *rig) {
		r.setPools(map[string]nic.Pool{"web": {Min: 1, Max: 4, Idle: nic.Duration(24 * time.Hour)}}, 10*time.Minute, time.Hour)
		holds, cools, leaves := r.acquireAs("0001", "one", "web"), r.acquireAs("0002", "two", "web"), r.acquireAs("0003", "three", "web")
		r.live(20 * time.Second)
		r.giveBack(r.claim(cools.ID))
		r.live(5 * time.Second)
		r.count(nic.PhaseCooling, 1)
		r.giveBack(r.claim(leaves.ID)) // whose NIC nobody reports clean any more
		r.wait(3 * time.Minute)
		r.count(nic.PhaseHeld, 1)
		r.count(nic.PhaseSpare, 1)
		r.count(nic.PhaseReturning, 1)
		given, err := r.alloc.ForgetNode(t.Context(), "vm1", false)
		if err != nil || len(given.NICs) != 4 || len(given.Claims) != 2 {
			t.Fatalf("given up is %+v, %v", given, err)
		}
		r.wait(time.Minute)
		if seen, err := r.cloud.List(t.Context()); err != nil || len(seen) > 0 {
			t.Errorf("left at the provider: %+v, %v", seen, err)
		}
		records, _, err := r.store.List(t.Context(), "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			switch kind, _, _ := strings.Cut(rec.Key, "/"); kind {
			case "leader", "addr", "mac": // these cool down
				if strings.Contains(string(rec.Value), "kept/") {
					t.Errorf("for a name that never comes again: %s = %s", rec.Key, rec.Value)
				}
			default:
				t.Errorf("left in the store: %s = %s", rec.Key, rec.Value)
			}
		}

		// A new machine of that name is another one.
		if r.node, err = r.alloc.Hello(t.Context(), "vm1", nic.Inventory{Boot: "b2"}); err != nil {
			t.Fatal(err)
		}
		if again := r.acquireAs("0004", "one", "web"); again.Identity.MAC == holds.Identity.MAC {
			t.Errorf("the new machine's container got what the old one's had, which may be alive: %+v", again)
		}
		r.live(10 * time.Second)
		r.wait(10 * time.Minute)
		r.live(70 * time.Second) // what a silent node lacks is looked at each minute
		r.count(nic.PhaseHeld, 1)
		r.count(nic.PhaseSpare, 1)
		records, _, err = r.store.List(t.Context(), "addr/", "", 0)
		if err != nil || len(records) > 2 {
			t.Errorf("addresses after the cool-down: %+v, %v", records, err)
		}
	})
}

// A revoked node's agent has nothing more to say, so that whoever forgets it is told
// how long to wait, and not to end it.
func TestForgetAfterRevoke(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.wait(10 * time.Minute) // the controller knows by now who is there
		r.bound("a001", "web")
		r.wait(10 * time.Second)
		if _, err := r.alloc.RevokeNode(t.Context(), "vm1", false, false); err != nil {
			t.Fatal(err)
		}
		r.wait(20 * time.Second)
		_, err := r.alloc.ForgetNode(t.Context(), "vm1", true)
		if !errors.Is(err, allocator.ErrRefused) {
			t.Fatalf("30 s after it was heard: %v", err)
		}
		_, said, _ := strings.Cut(err.Error(), "it is revoked, and was heard ")
		var ago, left string
		if _, err := fmt.Sscanf(said, "%s ago; be sure that it is off, and try again in %s", &ago, &left); err != nil {
			t.Fatalf("it says %q: %v", said, err)
		}
		wait, err := time.ParseDuration(left)
		if err != nil || wait > 61*time.Second || wait < 30*time.Second {
			t.Fatalf("%q: %v", left, err)
		}
		r.wait(wait - 2*time.Second)
		if _, err := r.alloc.ForgetNode(t.Context(), "vm1", true); !errors.Is(err, allocator.ErrRefused) {
			t.Errorf("before that: %v", err)
		}
		r.wait(2 * time.Second)
		if given, err := r.alloc.ForgetNode(t.Context(), "vm1", true); err != nil || len(given.Claims) != 1 {
			t.Errorf("after it: %+v, %v", given, err)
		}
	})
}
