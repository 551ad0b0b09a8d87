package allocator_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// as is the context of a call of vm1's agent in a session.
func (r *rig) as(session uint64) context.Context { return api.WithSession(r.t.Context(), session) }

// holds wants all that must always hold of the records.
func (r *rig) holds() {
	r.t.Helper()
	records, err := allocator.ReadRecords(r.t.Context(), r.store)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := invariant.Error(invariant.Check(invariant.World{Now: time.Now(), Records: records})); err != nil {
		r.t.Error(err)
	}
}

// joinVM2 has a second node say hello.
func (r *rig) joinVM2() nic.Node {
	r.t.Helper()
	node, err := r.alloc.Hello(r.t.Context(), "vm2", nic.Inventory{Boot: "c1"})
	if err != nil {
		r.t.Fatal(err)
	}
	return node
}

func onVM2(name string) nic.Owner {
	return nic.Owner{Node: "vm2", Kind: nic.OwnerContainer, Sandbox: sandbox(name), Interface: "eth0"}
}

// F65: another agent has started for the node, and the one that slept wakes up. All
// that it asks is refused, and none of it is a sign of life.
func TestF65_EveryCallOfAnOldSessionIsRefused(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		has := r.bound("a001", "web")
		slept := r.node.Session
		var err error
		if r.node, err = r.alloc.Hello(t.Context(), "vm1", nic.Inventory{Boot: "b1"}); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Hour)
		before, _, _ := r.store.List(t.Context(), "", "", 0)
		req := nic.Request{Interface: "eth0", Network: "web", DefaultRoute: true}
		word := nic.Observed{NIC: has.NIC, Claim: has.ID, Epoch: has.Epoch, State: nic.ObservedClean}
		calls := map[string]func(ctx context.Context) error{
			"acquire what it has": func(ctx context.Context) error { _, err := r.alloc.Acquire(ctx, has.Owner, "renamed", req); return err },
			"acquire": func(ctx context.Context) error {
				_, err := r.alloc.Acquire(ctx, owner("a009"), "new", req)
				return err
			},
			"release": func(ctx context.Context) error { return r.alloc.Release(ctx, has.ID, has.Epoch) },
			"report": func(ctx context.Context) error {
				return r.alloc.Report(ctx, "vm1", nic.NodeReport{Session: slept, NICs: []nic.Observed{word}})
			},
			"wanted": func(ctx context.Context) error { _, _, err := r.alloc.Wanted(ctx, "vm1", slept); return err },
			"watch": func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				_, err := r.alloc.WaitChange(ctx, "vm1", 1<<40)
				return err
			},
		}
		for name, call := range calls {
			if err := call(r.as(slept)); !errors.Is(err, allocator.ErrStale) || !strings.Contains(err.Error(), "another agent has started") {
				t.Errorf("%s: %v, want it to be stale", name, err)
			}
		}
		after, _, _ := r.store.List(t.Context(), "", "", 0)
		if len(after) != len(before) || r.claim(has.ID).Phase != nic.ClaimBound {
			t.Errorf("%d records of before are %d, the claim is %+v", len(before), len(after), r.claim(has.ID))
		}
		if node, err := r.alloc.Node(t.Context(), "vm1"); err != nil || node.Phase != nic.NodeSilent {
			t.Errorf("its calls were signs of life: %+v, %v", node, err)
		}
		for name, call := range map[string]func(ctx context.Context) error{"acquire": calls["acquire what it has"], "watch": calls["watch"]} {
			if err := call(r.as(r.node.Session)); errors.Is(err, allocator.ErrStale) {
				t.Errorf("%s of the newest session: %v", name, err)
			}
		}
	})
}

// F65: an agent that waits for changes learns at once that another has started.
func TestF65_AWatchEndsWithItsSession(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.wait(time.Second) // it leads by now
		_, rev, err := r.alloc.Wanted(t.Context(), "vm1", 0)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := r.alloc.WaitChange(r.as(r.node.Session), "vm1", rev)
			ended <- err
		}()
		synctest.Wait()
		if _, err := r.alloc.Hello(t.Context(), "vm1", nic.Inventory{Boot: "b1"}); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, allocator.ErrStale) {
			t.Errorf("the watch ended with %v", err)
		}
	})
}

// F65: while an agent sleeps its claim is given to a container of another node. What
// it knew is refused by the epoch, the other's NIC and address stay as they are,
// and it is told to give back what it has.
func TestF65_AClaimThatHasMovedOnIsAnothers(t *testing.T) {
	for _, seize := range []bool{false, true} {
		bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
			had := r.bound("a001", "web")
			theirs := r.joinVM2()
			moved, err := r.alloc.Repoint(t.Context(), had.ID, allocator.Move{To: onVM2("b001"), Container: "there", Seize: seize})
			if err != nil || moved.Epoch != had.Epoch+1 || moved.NIC != had.NIC {
				t.Fatalf("moved: %+v, %v", moved, err)
			}
			r.wait(time.Minute)
			r.holds()
			if !seize { // the old node still has it, as far as anybody knows
				if now := r.claim(had.ID); now.Phase != nic.ClaimPending || now.NIC != had.NIC {
					t.Errorf("before the old NIC is back the claim is %+v", now)
				}
				r.wantsGone(had.NIC)
				said := nic.Observed{NIC: had.NIC, State: nic.ObservedClean}
				if err := r.alloc.Report(r.as(r.node.Session), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{said}}); err != nil {
					t.Errorf("the node gives back what it is told to: %v", err)
				}
			}
			now := r.wants(had.ID, nic.ClaimReady, time.Minute)
			if now.NIC == had.NIC || now.Identity.MAC != had.Identity.MAC || !samePrefixes(now.Identity.Addrs, had.Identity.Addrs) || now.Owner.Node != "vm2" {
				t.Errorf("moved it is %+v, was %+v", now, had)
			}
			err = r.alloc.Report(api.WithSession(t.Context(), theirs.Session), "vm2", nic.NodeReport{Session: theirs.Session, NICs: []nic.Observed{{
				NIC: now.NIC, Claim: now.ID, Epoch: now.Epoch, State: nic.ObservedIn, Running: true,
			}}})
			if err != nil {
				t.Fatal(err)
			}
			r.staleByEpoch(had, now)
			r.holds()
			if seen, err := r.cloud.Get(t.Context(), now.NIC); err != nil || seen[now.NIC].Place.Node != "vm2" {
				t.Errorf("the other owner's NIC is %+v, %v", seen, err)
			}
		})
	}
}

// staleByEpoch wants whatever vm1 knew of a claim refused, and the claim as it is.
func (r *rig) staleByEpoch(had, now nic.Claim) {
	r.t.Helper()
	for _, id := range []nic.ID{had.NIC, now.NIC} {
		for _, state := range []nic.ObservedState{nic.ObservedIn, nic.ObservedMade, nic.ObservedClean, nic.ObservedWaiting} {
			err := r.alloc.Report(r.as(r.node.Session), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{{
				NIC: id, Claim: had.ID, Epoch: had.Epoch, State: state,
			}}})
			if !errors.Is(err, allocator.ErrStale) || !strings.Contains(err.Error(), "the claim has moved on") {
				r.t.Errorf("report %s of %s: %v", state, id, err)
			}
		}
	}
	if err := r.alloc.Release(r.as(r.node.Session), had.ID, had.Epoch); !errors.Is(err, allocator.ErrStale) {
		r.t.Errorf("release: %v", err)
	}
	again, err := r.alloc.Acquire(r.as(r.node.Session), had.Owner, "web", nic.Request{Interface: "eth0", Network: "web", Addrs: []netip.Addr{had.Identity.Addrs[0].Addr()}})
	if err != nil || again.ID == had.ID || again.Phase != nic.ClaimRefused || again.Conditions[0].Reason != nic.ReasonAddressTaken {
		r.t.Errorf("its container asks for the address again: %+v, %v", again, err)
	}
	r.wait(time.Minute)
	if after := r.claim(now.ID); after.NIC != now.NIC || after.Phase != nic.ClaimBound || after.Epoch != now.Epoch || !after.StoppedAt.IsZero() {
		r.t.Errorf("the other owner's claim is %+v", after)
	}
}

// wantsGone wants vm1 told to take a NIC out that is nobody's there any more.
func (r *rig) wantsGone(id nic.ID) {
	r.t.Helper()
	wanted, _, err := r.alloc.Wanted(r.as(r.node.Session), "vm1", r.node.Session)
	if err != nil || len(wanted) != 1 || wanted[0].NIC != id || !wanted[0].Gone || wanted[0].Claim != "" || wanted[0].Owner.Sandbox != "" {
		r.t.Errorf("wanted of the old node: %+v, %v", wanted, err)
	}
}

func samePrefixes(a, b []netip.Prefix) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// An agent of a release from before sessions says none with its calls. It would end for
// good if it were told that a claim has moved on: that is passed over, as it was.
func TestF65_AnOlderAgentIsPassedOver(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		had := r.bound("a001", "web")
		r.joinVM2()
		if _, err := r.alloc.Repoint(t.Context(), had.ID, allocator.Move{To: onVM2("b001"), Container: "there"}); err != nil {
			t.Fatal(err)
		}
		r.report(had, nic.ObservedMade, false)
		if now := r.claim(had.ID); now.Owner.Node != "vm2" || !now.StoppedAt.IsZero() {
			t.Errorf("its word moved the claim: %+v", now)
		}
		if err := r.alloc.Release(t.Context(), had.ID, had.Epoch); !errors.Is(err, allocator.ErrStale) {
			t.Errorf("release with the old epoch: %v", err)
		}
	})
}

// What cannot be re-pointed is refused, and nothing changes.
func TestRepointRefuses(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		one, two := r.bound("a001", "lab"), r.bound("a002", "lab")
		if _, err := r.alloc.Repoint(t.Context(), one.ID, allocator.Move{To: onVM2("b001"), Container: "x"}); !errors.Is(err, allocator.ErrNotFound) {
			t.Errorf("to a node that never said hello: %v", err)
		}
		r.joinVM2()
		for name, to := range map[string]nic.Owner{"another's": two.Owner, "its own": one.Owner} {
			if _, err := r.alloc.Repoint(t.Context(), one.ID, allocator.Move{To: to, Container: "x"}); !errors.Is(err, allocator.ErrRefused) {
				t.Errorf("to %s: %v", name, err)
			}
		}
		if _, err := r.alloc.Repoint(t.Context(), nic.NewClaimID(), allocator.Move{To: onVM2("b001"), Container: "x"}); !errors.Is(err, allocator.ErrNotFound) {
			t.Errorf("a claim that is not there: %v", err)
		}
		if _, err := r.alloc.Repoint(t.Context(), one.ID, allocator.Move{To: nic.Owner{Node: "vm2"}, Container: "x"}); !errors.Is(err, allocator.ErrInvalid) {
			t.Errorf("to nothing: %v", err)
		}
		if err := r.alloc.Release(t.Context(), two.ID, two.Epoch); err != nil {
			t.Fatal(err)
		}
		if _, err := r.alloc.Repoint(t.Context(), two.ID, allocator.Move{To: onVM2("b001"), Container: "x"}); !errors.Is(err, allocator.ErrRefused) {
			t.Errorf("one that is being released: %v", err)
		}
		// To a container beside it, it takes its NIC along.
		beside := owner("a003")
		now, err := r.alloc.Repoint(t.Context(), one.ID, allocator.Move{To: beside, Container: "anew"})
		if err != nil || now.NIC != one.NIC || now.Phase != nic.ClaimReady || now.Epoch != 2 {
			t.Errorf("to a container beside: %+v, %v", now, err)
		}
		r.holds()
	})
}
