package allocator_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

func TestAClaimMovesForward(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		was := tr.now()
		tr.begin()
		if again, err := tr.alloc.BeginMove(t.Context(), tr.move, tr.claims, "vm2", "web-b"); err != nil || again[0].Epoch != was.Epoch+1 {
			t.Errorf("begun again: %+v, %v", again, err)
		}
		tr.until("in with the new epoch", tr.in("vm1"))
		tr.aim()
		tr.stopAndStart()
		tr.bring("vm2")
		tr.until("in on vm2", tr.in("vm2"))
		if w := tr.last[tr.now().NIC]; w.Owner.Sandbox != sandbox("b001") || w.Container != "web-b" || w.Gone {
			t.Errorf("wanted of vm2: %+v", w)
		}
		if carried := tr.now().NIC == was.NIC; carried != (tr.travel() == provider.Carry) {
			t.Errorf("the NIC was %s and is %s", was.NIC, tr.now().NIC)
		}
		tr.finish()
		now := tr.now()
		if now.Phase != nic.ClaimBound || now.Owner != onVM2("b001") || now.Container != "web-b" || now.Epoch != was.Epoch+2 || now.Move != nil {
			t.Errorf("moved, the claim is %+v", now)
		}
		tr.sameIdentity(was)
		tr.givenAway(was)
		tr.until("bound with the new epoch", func() bool { return tr.now().Phase == nic.ClaimBound && tr.in("vm2")() })
		tr.nothingLeft()
	})
}

// turns are where a move may be when it turns back.
func turns() map[string]func(tr *trip) {
	return map[string]func(tr *trip){
		"begun":                    func(*trip) {},
		"aimed":                    func(tr *trip) { tr.aim() },
		"on its way, nothing said": (*trip).leave,
		"out": func(tr *trip) {
			tr.leave()
			tr.frozen["vm1"] = false
			tr.obey()
		},
		"in flight": func(tr *trip) { tr.leave(); tr.until("not on vm1", func() bool { return tr.at().Node != "vm1" }) },
		"plugged in": func(tr *trip) {
			tr.leave()
			tr.until("held on vm2", func() bool { a := tr.at(); return a.Node == "vm2" && a.Phase == nic.PhaseHeld })
		},
		"in": func(tr *trip) { tr.leave(); tr.until("in on vm2", tr.in("vm2")) },
		"out again": func(tr *trip) {
			tr.leave()
			tr.until("in on vm2", tr.in("vm2"))
			tr.goBack()
			tr.bring("vm1")
			tr.obey()
		},
		"not aimed": func(tr *trip) {
			tr.runs[sandbox("a001")] = false
			tr.bring("vm2")
			tr.until("made on vm2", func() bool { a := tr.at(); return a.Node == "vm2" && a.Seen == nic.ObservedMade })
		},
		"to and fro": func(tr *trip) {
			tr.leave()
			for i := range 7 {
				tr.obey()
				tr.wait(300 * time.Millisecond)
				tr.bring([]string{"vm1", "vm2"}[i%2])
			}
		},
		"parked":       func(tr *trip) { tr.leave(); tr.park("no way"); tr.obey(); tr.park("") },
		"still parked": func(tr *trip) { tr.leave(); tr.park("no way") },
	}
}

// A move goes back from wherever it is, and the claim is what it was.
func TestAClaimComesBack(t *testing.T) {
	for name, leadTo := range turns() {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, tr *trip) {
				was := tr.now()
				tr.begin()
				leadTo(tr)
				tr.goBack()
				tr.bring("vm1")
				tr.until("in on vm1", tr.in("vm1"))
				for range 2 {
					if err := tr.alloc.CancelMove(t.Context(), tr.move, tr.claims); err != nil {
						t.Fatal(err)
					}
				}
				now := tr.now()
				if now.Phase != nic.ClaimBound || now.Owner != was.Owner || now.Container != was.Container || now.Epoch != was.Epoch+2 || now.Move != nil || len(now.Conditions) > 0 {
					t.Errorf("back, the claim is %+v", now)
				}
				tr.sameIdentity(was)
				tr.until("bound with the new epoch", func() bool { return tr.now().Phase == nic.ClaimBound && tr.in("vm1")() })
				tr.nothingLeft()
			})
		})
	}
}

// The same when nobody waits until the NIC is back.
func TestAMoveIsCancelledAnywhere(t *testing.T) {
	for name, leadTo := range turns() {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, tr *trip) {
				was := tr.now()
				tr.begin()
				leadTo(tr)
				tr.goBack()
				tr.cancel()
				if now := tr.now(); now.Owner != was.Owner || now.Move != nil || now.Epoch != was.Epoch+2 {
					t.Errorf("cancelled it is %+v", now)
				}
				tr.until("bound again", func() bool { return tr.now().Phase == nic.ClaimBound && tr.in("vm1")() })
				tr.sameIdentity(was)
				tr.nothingLeft()
			})
		})
	}
}

// All claims of a container move, or none.
func TestAContainerWithSeveralNICsMoves(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		second := owner("a001")
		second.Interface = "eth1"
		claim, err := tr.alloc.Acquire(t.Context(), second, "a001", nic.Request{Interface: "eth1", Network: tr.second})
		if err != nil {
			t.Fatal(err)
		}
		refused := append(slices.Clone(tr.claims), claim.ID) // its NIC is still being made
		if _, err := tr.alloc.BeginMove(t.Context(), tr.move, refused, "vm2", "web-b"); !errors.Is(err, allocator.ErrRefused) || tr.now().Phase != nic.ClaimBound {
			t.Errorf("begun with %v, the other claim is %s", err, tr.now().Phase)
		}
		tr.until("bound", func() bool { return tr.claim(claim.ID).Phase == nic.ClaimBound })
		tr.claims = refused
		all := func(node string) func() bool {
			return func() bool {
				at, err := tr.alloc.Whereabouts(t.Context(), tr.claims)
				return err == nil && !slices.ContainsFunc(at, func(w nic.Whereabouts) bool { return w.Node != node || w.Seen != nic.ObservedIn })
			}
		}
		tr.begin()
		tr.leave()
		tr.until("all in on vm2", all("vm2"))
		tr.finish()
		for _, id := range tr.claims {
			if now := tr.claim(id); now.Owner.Node != "vm2" || now.Owner.Sandbox != sandbox("b001") || now.Phase != nic.ClaimBound {
				t.Errorf("moved it is %+v", now)
			}
		}
		tr.until("all bound", all("vm2"))
	})
}

// What is kept for a container's name is kept for the name that it has now.
func TestAMoveTakesTheKeptNameAlong(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.stop()
		r.networks[0].Keep, r.networks[0].Cooldown = nic.Duration(time.Hour), nic.Duration(time.Second)
		r.start()
		tr := onTheRoad(r, "web")
		was := tr.now()
		tr.begin()
		tr.leave()
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
		now := tr.now()
		if err := tr.alloc.Release(t.Context(), now.ID, now.Epoch); err != nil {
			t.Fatal(err)
		}
		tr.until("released", func() bool { return tr.now().ID == "" })
		tr.wait(time.Minute)
		if err := tr.alloc.ForgetMoved(t.Context(), "vm1", sandbox("a001")); err != nil {
			t.Fatal(err)
		}
		ask := func(o nic.Owner, name string) nic.Identity {
			t.Helper()
			got, err := tr.alloc.Acquire(t.Context(), o, name, nic.Request{Interface: "eth0", Network: "web"})
			if err != nil {
				t.Fatal(err)
			}
			return got.Identity
		}
		if got := ask(owner("a009"), "a001"); got.MAC == was.Identity.MAC || samePrefixes(got.Addrs, was.Identity.Addrs) {
			t.Errorf("the next of the old name gets %+v", got)
		}
		if got := ask(onVM2("b009"), "web-b"); got.MAC != was.Identity.MAC || !samePrefixes(got.Addrs, was.Identity.Addrs) {
			t.Errorf("the next of the new name gets %+v, was %+v", got, was.Identity)
		}
	})
}

// The NIC is taken from a node only by that node's word.
func TestAMoveWaitsForTheNodesWord(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		tr.begin()
		tr.aim()
		tr.stopAndStart()
		tr.frozen["vm1"] = true
		tr.bring("vm2")
		for range 80 {
			tr.obey()
			tr.wait(time.Second)
		}
		at := tr.at()
		if at.Node != "vm1" || at.Phase != nic.PhaseReturning || len(at.Conditions) == 0 || at.Conditions[0].Reason != nic.ReasonWaitingForNode {
			t.Errorf("without the node's word: %+v", at)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := tr.alloc.AwaitNICs(ctx, tr.claims, func([]nic.Whereabouts) bool { return tr.in("vm2")() })
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "node vm1 has not reported") {
			t.Errorf("the wait ends with %v", err)
		}
		tr.frozen["vm1"] = false
		done := make(chan error)
		go func() {
			done <- tr.alloc.AwaitNICs(t.Context(), tr.claims, func(at []nic.Whereabouts) bool { return at[0].Seen == nic.ObservedIn && at[0].Node == "vm2" })
		}()
		tr.until("in on vm2", tr.in("vm2"))
		if err := <-done; err != nil {
			t.Error(err)
		}
		tr.finish()
		tr.nothingLeft()
	})
}

// A crash anywhere loses nothing: the records alone say where the NIC goes.
func TestAMoveOutlivesItsController(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		was := tr.now()
		tr.begin()
		tr.leave()
		for i := range 200 {
			tr.obey()
			if tr.in("vm2")() {
				break
			}
			tr.wait(time.Duration(17*i) * time.Millisecond)
			tr.crash()
		}
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
		tr.crash()
		tr.sameIdentity(was)
		tr.nothingLeft()
	})
}

// P1: while a claim is on its way nobody else gets its address or its MAC, nor
// does its own container a second claim, on either node.
func TestP1_NobodyGetsWhatMoves(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		was := tr.now()
		tr.begin()
		tr.leave()
		ask := func(o nic.Owner, name string, req nic.Request) nic.Claim {
			t.Helper()
			got, err := tr.alloc.Acquire(api.WithSession(t.Context(), tr.sessions[o.Node]), o, name, req)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		reason := nic.ReasonAddressTaken
		if was.Identity.Given { // the cloud picks them
			reason = nic.ReasonBadRequest
		}
		theirs := nic.Request{Interface: "eth0", Network: was.Request.Network, Addrs: []netip.Addr{was.Identity.Addrs[0].Addr()}}
		for i := range 40 {
			tr.obey()
			if got := ask(owner("c001"), "thief", theirs); got.Phase != nic.ClaimRefused || got.Conditions[0].Reason != reason {
				t.Fatalf("another container gets %+v", got)
			}
			for _, again := range []nic.Claim{ask(was.Owner, "a001", was.Request), ask(onVM2("b001"), "web-b", was.Request), ask(onVM2("b001"), "renamed", was.Request)} {
				if again.ID != was.ID || again.Phase != nic.ClaimMoving {
					t.Fatalf("its own container gets %+v", again)
				}
			}
			if i == 0 {
				if got := ask(onVM2("b002"), "web-b", was.Request); got.ID != was.ID {
					t.Errorf("a container of the target's name gets %+v", got)
				}
			}
			tr.wait(100 * time.Millisecond)
		}
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
		tr.sameIdentity(was)
	})
}
