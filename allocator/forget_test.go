package allocator_test

import (
	"errors"
	"net/netip"
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
		r.wait(30 * 24 * time.Hour)
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
