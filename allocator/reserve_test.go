package allocator_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/nic"
)

// reservation is an owner that is no container yet.
func reservation(name string) nic.Owner {
	o := owner(name)
	o.Kind = nic.OwnerReservation
	return o
}

// reserve asks for a NIC of network lab for a container that is to be called so.
func (r *rig) reserve(sandbox, container string) (nic.Claim, error) {
	return r.alloc.Acquire(r.t.Context(), reservation(sandbox), container, nic.Request{Interface: "eth0", Network: "late", Unstarted: true})
}

// ask asks as docker run's container does, or, before its start, docker create's.
func (r *rig) ask(sandbox, container string, change func(*nic.Request)) nic.Claim {
	r.t.Helper()
	req := nic.Request{Interface: "eth0", Network: "late", DefaultRoute: true}
	change(&req)
	claim, err := r.alloc.Acquire(r.t.Context(), owner(sandbox), container, req)
	if err != nil {
		r.t.Fatalf("acquire for %s: %v", container, err)
	}
	return claim
}

func created(req *nic.Request) { req.Unstarted = true }
func running(*nic.Request)     {}

// A container that comes gets the NIC that was reserved for its name, and nothing is
// made or taken back on the way.
func TestAContainerGetsTheNICThatWasReserved(t *testing.T) {
	bubble(t, full(8), func(t *testing.T, r *rig) {
		reserved, err := r.reserve("aaaa", "dpdk")
		if err != nil {
			t.Fatal(err)
		}
		again, err := r.reserve("aaaa", "dpdk") // the reply was lost
		if err != nil || again.ID != reserved.ID {
			t.Fatalf("asked again: claim %s, %v; want %s", again.ID, err, reserved.ID)
		}
		claim := r.wants(reserved.ID, nic.ClaimReady, time.Second)
		r.ready(claim)
		r.crash()
		wanted, _, err := r.alloc.Wanted(t.Context(), "vm1", r.node.Session)
		if err != nil || len(wanted) != 1 || wanted[0].Owner != reservation("aaaa") || wanted[0].Container != "dpdk" || wanted[0].Gone {
			t.Fatalf("wanted of the node: %+v, %v", wanted, err)
		}
		calls := len(r.cloud.Calls())

		r.ask("bbbb", "other", running) // one of another name has a claim of its own
		got := r.ask("0001", "dpdk", created)
		if got.ID != claim.ID || got.NIC != claim.NIC || got.Epoch != claim.Epoch+1 || got.Owner != owner("0001") {
			t.Fatalf("its container has come: %+v; want claim %s, of a later epoch, with %s", got, claim.ID, claim.NIC)
		}
		r.wait(4 * time.Minute) // the network plugs in nothing ahead, and this one is kept all the same
		if now := r.claim(claim.ID); now.NIC != claim.NIC || now.Phase != nic.ClaimReady {
			t.Errorf("before its start: %+v; want it with its NIC", now)
		}
		if r.ask("0001", "dpdk", running); r.claim(claim.ID).Request.Unstarted {
			t.Error("started, and not known to be")
		}
		r.report(r.claim(claim.ID), nic.ObservedIn, true)
		bound := r.wants(claim.ID, nic.ClaimBound, time.Second)
		for _, c := range r.cloud.Calls()[calls:] {
			if c.ID == claim.NIC && c.Effect {
				t.Errorf("the cloud was asked %v", c)
			}
		}
		r.wait(time.Hour)
		if now := r.claim(claim.ID); now.Phase != nic.ClaimBound {
			t.Errorf("an hour later it is %s", now.Phase)
		}
		r.end(bound)
		r.end(r.ask("bbbb", "other", running))
		r.wait(time.Hour)
		r.empty()
	})
}

// end has a container go, and its NIC with it.
func (r *rig) end(claim nic.Claim) {
	r.t.Helper()
	if err := r.alloc.Release(r.t.Context(), claim.ID, claim.Epoch); err != nil {
		r.t.Fatalf("release: %v", err)
	}
	r.wait(time.Second)
	if claim.NIC != "" {
		r.report(claim, nic.ObservedClean, false)
	}
	r.wait(time.Minute)
}

// One whose container never comes ends by itself, and so does one that was refused.
func TestAReservationEnds(t *testing.T) {
	bubble(t, full(8), func(t *testing.T, r *rig) {
		claim, err := r.reserve("aaaa", "dpdk")
		if err != nil {
			t.Fatal(err)
		}
		claim = r.wants(claim.ID, nic.ClaimReady, time.Second)
		refused, err := r.alloc.Acquire(t.Context(), reservation("bbbb"), "none", nic.Request{Interface: "eth0", Network: "nowhere", Unstarted: true})
		if err != nil || refused.Phase != nic.ClaimRefused {
			t.Fatalf("of a network that there is not: %+v, %v", refused, err)
		}
		r.wait(4*time.Minute + 50*time.Second)
		r.crash()
		if now := r.claim(claim.ID); now.Phase != nic.ClaimReady {
			t.Errorf("shortly before its end it is %s", now.Phase)
		}
		r.wait(15 * time.Second)
		if now := r.claim(claim.ID); now.Phase != nic.ClaimReleasing {
			t.Errorf("after its end it is %s", now.Phase)
		}
		late := r.ask("0001", "dpdk", running)
		if late.ID == claim.ID {
			t.Error("a container that comes too late gets a claim that ends")
		}
		r.report(claim, nic.ObservedClean, false)
		r.end(r.claim(late.ID))
		r.wait(time.Minute)
		r.empty()
	})
}

// What a network makes ahead it may keep for longer than a reservation: this ends when it
// says, wherever it is made.
func TestAReservationEndsBeforePreplugDoes(t *testing.T) {
	vfs(t, 1, func(t *testing.T, r *rig) {
		claim, err := r.alloc.Acquire(t.Context(), reservation("aaaa"), "dpdk", nic.Request{Interface: "eth0", Network: "user", Unstarted: true})
		if err != nil {
			t.Fatal(err)
		}
		claim = r.wants(claim.ID, nic.ClaimReady, time.Minute)
		r.wait(time.Until(claim.ReservedUntil) + time.Second)
		if now := r.claim(claim.ID); now.Phase != nic.ClaimReleasing {
			t.Errorf("after its end it is %s", now.Phase)
		}
	})
}

// A container has its VF's device from when it was made, and no other for as long as it is
// there: whoever else got that VF would have it opened by this one. So neither hold nor
// preplug ends it, but for containers of other networks.
func TestAVFInUserSpaceIsKeptForAsLongAsItsContainerIsThere(t *testing.T) {
	for _, started := range []bool{true, false} {
		t.Run(fmt.Sprintf("started %t", started), func(t *testing.T) {
			vfs(t, 1, func(t *testing.T, r *rig) {
				ask := nic.Request{Interface: "eth0", Network: "user", Unstarted: true}
				claim, err := r.alloc.Acquire(t.Context(), reservation("aaaa"), "dpdk", ask)
				if err != nil {
					t.Fatal(err)
				}
				r.ready(r.wants(claim.ID, nic.ClaimReady, time.Minute))
				if claim, err = r.alloc.Acquire(t.Context(), owner("0001"), "dpdk", ask); err != nil { // docker create
					t.Fatal(err)
				}
				if started {
					r.report(claim, nic.ObservedIn, true)
					r.wants(claim.ID, nic.ClaimBound, time.Second)
					r.report(claim, nic.ObservedMade, false)
				}
				other := r.acquire("0002", "user")
				r.wait(20 * time.Minute)
				r.stop()
				r.startVFs()
				r.wait(20 * time.Minute)
				if now := r.claim(claim.ID); now.NIC != claim.NIC || now.Phase != nic.ClaimReady {
					t.Errorf("long after, it is %s, with NIC %q; want ready, with %s", now.Phase, now.NIC, claim.NIC)
				}
				if now := r.claim(other.ID); now.NIC != "" {
					t.Errorf("another container has %s", now.NIC)
				}
				r.free(r.claim(claim.ID)) // docker rm
				r.wants(other.ID, nic.ClaimReady, time.Minute)
			})
		})
	}
}

// A name is reserved for one; a container that asks for something else than what is
// reserved gets that, and whoever gives up before gives the NIC back.
func TestAReservationIsOnes(t *testing.T) {
	bubble(t, full(8), func(t *testing.T, r *rig) {
		claim, err := r.reserve("aaaa", "dpdk")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.reserve("bbbb", "dpdk"); !errors.Is(err, allocator.ErrRefused) || !strings.Contains(err.Error(), "is reserved already, until") {
			t.Errorf("the same name once more: %v; want %v", err, allocator.ErrRefused)
		}
		if _, err := r.reserve("cccc", "no name/../"); !errors.Is(err, allocator.ErrInvalid) {
			t.Errorf("what is no name: %v; want %v", err, allocator.ErrInvalid)
		}
		other := r.ask("0001", "dpdk", func(req *nic.Request) { req.Network = "lab" })
		if other.ID == claim.ID {
			t.Error("a container of another network gets the reserved claim")
		}
		r.end(r.claim(claim.ID)) // its docker run has failed
		if got := r.claim(claim.ID); got.ID != "" {
			t.Errorf("given back: %+v", got)
		}
		if next, err := r.reserve("bbbb", "dpdk"); err != nil {
			t.Errorf("the name is free again: %v", err)
		} else {
			r.end(r.claim(next.ID))
		}
		r.end(r.claim(other.ID))
		r.wait(time.Hour)
		r.empty()
	})
}
