package allocator_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// resting starts the controller again with networks that let addresses cool
// down, and keep them.
func (r *rig) resting(cooldown, keep time.Duration) {
	r.t.Helper()
	for i := range r.networks {
		r.networks[i].Cooldown, r.networks[i].Keep = nic.Duration(cooldown), nic.Duration(keep)
	}
	r.crash()
}

// acquireAs asks for a NIC for one container of that name.
func (r *rig) acquireAs(name, container, network string, addrs ...string) nic.Claim {
	r.t.Helper()
	req := nic.Request{Interface: "eth0", Network: network}
	for _, a := range addrs {
		req.Addrs = append(req.Addrs, netip.MustParseAddr(a))
	}
	claim, err := r.alloc.Acquire(r.t.Context(), owner(name), container, req)
	if err != nil {
		r.t.Fatalf("acquire for %s: %v", container, err)
	}
	return claim
}

// release says that the container is gone.
func (r *rig) release(id nic.ClaimID) nic.Claim {
	r.t.Helper()
	claim := r.claim(id)
	if err := r.alloc.Release(r.t.Context(), id, claim.Epoch); err != nil {
		r.t.Fatal(err)
	}
	return claim
}

// remove takes a container away, until nothing is left of its claim.
func (r *rig) remove(id nic.ClaimID) {
	r.t.Helper()
	claim := r.release(id)
	r.report(claim, nic.ObservedClean, false)
	r.wait(time.Second)
	if got := r.claim(id); got.ID != "" {
		r.t.Fatalf("still there: %+v", got)
	}
}

// reason is the first of the claim's conditions.
func reason(c nic.Claim) nic.Reason {
	if len(c.Conditions) == 0 {
		return ""
	}
	return c.Conditions[0].Reason
}

func sameIdentity(a, b nic.Claim) bool {
	return a.Identity.MAC == b.Identity.MAC && slices.Equal(a.Identity.Addrs, b.Identity.Addrs)
}

// docker rm and docker run under the same name: the same address and MAC, also
// with another controller in between, and nobody else gets them meanwhile.
func TestTheNextOfANameGetsTheSameAgain(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.resting(30*time.Second, time.Hour)
		first := r.wants(r.acquireAs("0001", "web", "web").ID, nic.ClaimReady, time.Second)
		r.remove(first.ID)
		other := r.acquireAs("0002", "db", "web")
		if got := other.Identity.Addrs[0].String(); got != "10.0.0.11/24" {
			t.Errorf("another name got %s, want the next that nobody had", got)
		}
		r.wait(time.Minute)
		r.crash()
		again := r.acquireAs("0003", "web", "web")
		if !sameIdentity(again, first) || again.ID == first.ID {
			t.Errorf("got %+v, want %+v again", again.Identity, first.Identity)
		}
		r.remove(r.wants(again.ID, nic.ClaimReady, time.Second).ID)
		byMAC, err := r.alloc.Acquire(t.Context(), owner("0004"), "thief", nic.Request{Interface: "eth0", Network: "web", MAC: first.Identity.MAC})
		if err != nil || reason(byMAC) != nic.ReasonMACTaken || byMAC.Conditions[0].Deadline.IsZero() {
			t.Errorf("the MAC was given to another within its rest: %+v, %v", byMAC, err)
		}
		r.release(byMAC.ID)
		r.remove(r.wants(other.ID, nic.ClaimReady, time.Second).ID)
		r.wait(2 * time.Hour)
		r.empty()
	})
}

// docker rm -f and docker run at once: the next container waits, for a while,
// until the last has given its NIC back.
func TestTheNextOfANameWaitsForTheLast(t *testing.T) {
	for _, c := range []struct {
		name  string
		clean bool
	}{{"which comes home", true}, {"which does not", false}} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, slow, func(t *testing.T, r *rig) {
				r.resting(30*time.Second, time.Hour)
				first := r.wants(r.acquireAs("0001", "web", "web").ID, nic.ClaimReady, time.Minute)
				r.report(first, nic.ObservedIn, true)
				next := r.acquireAs("0002", "web", "web") // before the node has seen the last one go
				if next.Phase != nic.ClaimPending || next.NIC != "" || reason(next) != nic.ReasonWaitingForFormer || next.Conditions[0].Deadline.IsZero() {
					t.Fatalf("got %+v, want a wait with a deadline", next)
				}
				r.release(first.ID)
				if c.clean {
					r.report(first, nic.ObservedClean, false)
				}
				got := r.wants(next.ID, nic.ClaimReady, 2*time.Minute)
				if sameIdentity(got, first) != c.clean {
					t.Errorf("got %+v after %+v", got.Identity, first.Identity)
				}
				if !c.clean && got.Since.Sub(next.Created) < 30*time.Second {
					t.Errorf("gave up after %s", got.Since.Sub(next.Created))
				}
			})
		})
	}
}

// What is kept under a name goes to others when there is nothing else, the
// longest unused first, but never within its rest.
func TestKeptAddressesGoWhenTheyAreNeeded(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.resting(30*time.Second, time.Hour)
		var first []nic.Claim
		for i := range 3 {
			first = append(first, r.wants(r.acquireAs(fmt.Sprintf("000%d", i), fmt.Sprintf("old%d", i), "web").ID, nic.ClaimReady, time.Second))
		}
		for _, i := range []int{1, 0, 2} {
			r.remove(first[i].ID)
		}
		late := r.acquireAs("0011", "new", "web")
		if late.Phase != nic.ClaimRefused || reason(late) != nic.ReasonExhausted || !strings.Contains(late.Conditions[0].Message, "0 of 3 held, 3 cooling down") {
			t.Fatalf("within the rest: %+v", late)
		}
		got := r.wants(late.ID, nic.ClaimReady, time.Minute)
		if got.Identity.Addrs[0] != first[1].Identity.Addrs[0] || got.Identity.MAC == first[1].Identity.MAC {
			t.Errorf("got %+v, want the address that was let go first, and a MAC of its own", got.Identity)
		}
		r.wait(10 * time.Second) // the others were let go some seconds later
		if back := r.acquireAs("0012", "old1", "web"); back.Identity.MAC != first[1].Identity.MAC || back.Identity.Addrs[0] == first[1].Identity.Addrs[0] {
			t.Errorf("the first to be let go got %+v, want its MAC and another address", back.Identity)
		}
	})
}

func TestAnAddressCoolsDown(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.resting(30*time.Second, 0)
		first := r.wants(r.acquire("0001", "web", "10.0.0.20").ID, nic.ClaimReady, time.Second)
		r.remove(first.ID)
		let := time.Now()
		second := r.acquire("0002", "web", "10.0.0.20")
		if why := second.Conditions; second.Phase != nic.ClaimRefused || why[0].Reason != nic.ReasonAddressTaken || !strings.Contains(why[0].Message, "cools down until") {
			t.Fatalf("within the rest: %+v", second)
		}
		got := r.wants(second.ID, nic.ClaimReady, time.Minute)
		if waited := time.Since(let); waited < 25*time.Second || waited > 35*time.Second || len(got.Conditions) != 0 {
			t.Errorf("given by itself after %s: %+v", waited, got)
		}
	})
}

// F17: more want an address than there are. Those that get none leave nothing
// behind, say who is in their way, and are served by themselves in time.
func TestF17_AnExhaustedRangeLeavesNoOrphan(t *testing.T) {
	bubble(t, slow, func(t *testing.T, r *rig) {
		r.resting(30*time.Second, time.Hour)
		for i := range 10 {
			r.acquire(fmt.Sprintf("000%d", i), "web")
		}
		r.wait(time.Minute)
		r.exhausted(3, nic.ReasonExhausted, "every address of 10.0.0.10-10.0.0.12 is taken: 3 of 3 held; held by container")
		for _, claim := range r.claims() {
			if claim.Phase == nic.ClaimReady {
				r.release(claim.ID)
				r.report(claim, nic.ObservedClean, false)
			}
		}
		r.wait(2 * time.Minute)
		r.exhausted(3, nic.ReasonExhausted, "and 0 more")
	})
}

// exhausted wants so many claims ready with a NIC each, and the rest refused
// with the reason and no NIC.
func (r *rig) exhausted(ready int, why nic.Reason, says string) {
	r.t.Helper()
	got := 0
	for _, claim := range r.claims() {
		switch {
		case claim.Phase == nic.ClaimReady:
			got++
		case claim.Phase != nic.ClaimRefused || claim.NIC != "" || reason(claim) != why:
			r.t.Errorf("claim %+v; want it refused as %s", claim, why)
		case !strings.Contains(claim.Conditions[0].Message, says) && says != "and 0 more":
			r.t.Errorf("claim says %q; want %q", claim.Conditions[0].Message, says)
		}
	}
	if got != ready {
		r.t.Errorf("%d claims are ready, want %d", got, ready)
	}
	if seen, err := r.cloud.List(r.t.Context()); err != nil || len(seen) != ready {
		r.t.Errorf("%d NICs in the cloud, %v; want %d", len(seen), err, ready)
	}
}

// F17: the same, where it is the provider that has no more.
func TestF17_AnExhaustedQuotaLeavesNoOrphan(t *testing.T) {
	bubble(t, fake.Options{Quota: 3, NICsPerInstance: 64}, func(t *testing.T, r *rig) {
		for i := range 10 {
			r.acquire(fmt.Sprintf("000%d", i), "lab")
		}
		r.wait(10 * time.Second)
		r.exhausted(3, nic.ReasonExhausted, "")
		for _, claim := range r.claims() {
			if claim.Phase == nic.ClaimReady {
				r.release(claim.ID)
				r.report(claim, nic.ObservedClean, false)
			}
		}
		r.wait(2 * time.Hour) // what was made in vain is tried less and less often
		r.exhausted(3, nic.ReasonExhausted, "")
	})
}

// P1: over all nodes, a MAC and an address have one holder.
func TestP1_OneHolderOverAllNodes(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		if _, err := r.alloc.Hello(t.Context(), "vm2", nic.Inventory{Boot: "b2"}); err != nil {
			t.Fatal(err)
		}
		mac := nic.MAC{2, 0, 0, 0, 0, 7}
		for i, want := range []nic.Request{
			{Interface: "eth0", Network: "web", MAC: mac},
			{Interface: "eth0", Network: "lab", MAC: mac},
			{Interface: "eth0", Network: "web", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.10")}},
		} {
			o := owner(fmt.Sprintf("000%d", i))
			if i > 0 {
				o.Node = "vm2"
			}
			claim, err := r.alloc.Acquire(t.Context(), o, "c", want)
			taken := reason(claim) == nic.ReasonMACTaken || reason(claim) == nic.ReasonAddressTaken
			if err != nil || taken != (i > 0) {
				t.Errorf("%+v: %+v, %v", want, claim, err)
			}
		}
	})
}

// Many ask at once: each gets an address of its own, and nobody is turned away
// because others were quicker.
func TestManyAcquireAtOnce(t *testing.T) {
	bubble(t, fake.Options{NICsPerInstance: 1000}, func(t *testing.T, r *rig) {
		r.networks[0].Subnets[0].Ranges[0].Last = netip.MustParseAddr("10.0.0.250")
		r.crash()
		var wg sync.WaitGroup
		for i := range 128 {
			wg.Go(func() {
				req := nic.Request{Interface: "eth0", Network: "web"}
				if _, err := r.alloc.Acquire(t.Context(), owner(fmt.Sprintf("%04x", i)), "c", req); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		addrs := map[netip.Prefix]bool{}
		for _, c := range r.claims() {
			for _, p := range c.Identity.Addrs {
				addrs[p] = true
			}
		}
		if len(addrs) != 256 {
			t.Errorf("%d addresses for 128 containers, want 256", len(addrs))
		}
	})
}

// docker rename: what is kept goes with the new name.
func TestARenamedContainerIsKeptUnderItsNewName(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.resting(0, time.Hour)
		first := r.wants(r.acquireAs("0001", "web", "web").ID, nic.ClaimReady, time.Second)
		r.acquireAs("0001", "old", "web")
		second := r.acquireAs("0002", "web", "web")
		if second.NIC == "" || sameIdentity(second, first) {
			t.Errorf("the next of the old name: %+v; want it to have a NIC at once", second)
		}
		r.remove(first.ID)
		if again := r.acquireAs("0003", "old", "web"); !sameIdentity(again, first) {
			t.Errorf("the next of the new name got %+v, want %+v", again.Identity, first.Identity)
		}
	})
}
