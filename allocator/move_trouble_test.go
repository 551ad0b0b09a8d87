package allocator_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

func about(refusals []nic.MoveRefusal) (all []string) {
	for _, r := range refusals {
		all = append(all, r.About)
	}
	return slices.Compact(all)
}

// The slot on the target is the claim's from the beginning, and the one where it
// comes from until the end, also after a crash.
func TestAMoveKeepsASlotOnBothNodes(t *testing.T) {
	for _, travel := range []provider.Travel{provider.Carry, provider.Rebuild} {
		travels(t, fake.Options{Travel: travel, NICsPerInstance: 1}, func(t *testing.T, tr *trip) {
			tr.begin()
			tr.crash()
			ask := func(o nic.Owner) nic.ClaimID {
				t.Helper()
				got, err := tr.alloc.Acquire(t.Context(), o, "other", nic.Request{Interface: "eth0", Network: "lab"})
				if err != nil {
					t.Fatal(err)
				}
				return got.ID
			}
			there := ask(onVM2("b002"))
			for range 30 {
				tr.obey()
				tr.wait(time.Second)
			}
			if got := tr.claim(there); got.Phase != nic.ClaimPending || got.Conditions[0].Reason != nic.ReasonWaitingForSlot {
				t.Errorf("another on vm2 is %+v", got)
			}
			tr.leave()
			tr.until("in on vm2", tr.in("vm2"))
			here := ask(owner("a002"))
			for range 30 {
				tr.obey()
				tr.wait(time.Second)
			}
			if got := tr.claim(here); got.Phase != nic.ClaimPending && got.Phase != nic.ClaimRefused {
				t.Errorf("another on vm1 is %+v", got)
			}
			tr.goBack()
			tr.bring("vm1")
			tr.until("in on vm1", tr.in("vm1"))
			tr.cancel()
			tr.until("the slot goes to who waits", func() bool { return tr.claim(there).Phase == nic.ClaimReady })
		})
	}
}

// What stands against a move is said all at once, and nothing is changed.
func TestAMoveIsRefusedWithEveryReason(t *testing.T) {
	travels(t, fake.Options{NICsPerInstance: 1}, func(t *testing.T, tr *trip) {
		before, _, _ := tr.store.List(t.Context(), "", "", 0)
		refuses := func(to string, want ...string) {
			t.Helper()
			room, err := tr.alloc.MoveRoom(t.Context(), tr.claims, to)
			if err != nil || !slices.Equal(about(room.Refusals), want) {
				t.Errorf("to %s: %+v, %v; want %v", to, room.Refusals, err, want)
			}
			_, err = tr.alloc.BeginMove(t.Context(), tr.move, tr.claims, to, "web-b")
			if len(want) > 0 && !errors.Is(err, allocator.ErrRefused) {
				t.Errorf("begun to %s: %v", to, err)
			}
		}
		refuses("vm9", "node")
		refuses("vm1", "node", "slots")
		got, err := tr.alloc.Acquire(t.Context(), onVM2("b002"), "web-b", nic.Request{Interface: "eth0", Network: "lab"})
		if err != nil {
			t.Fatal(err)
		}
		tr.runs[sandbox("b002")] = true
		tr.until("full", func() bool { return tr.claim(got.ID).Phase == nic.ClaimBound })
		refuses("vm2", "slots")
		if err := tr.alloc.Release(t.Context(), got.ID, tr.claim(got.ID).Epoch); err != nil {
			t.Fatal(err)
		}
		tr.until("empty", func() bool { return tr.claim(got.ID).ID == "" })
		after, _, _ := tr.store.List(t.Context(), "", "", 0)
		if len(after) != len(before) {
			t.Errorf("%d records are %d", len(before), len(after))
		}
		refuses("vm2")
		if now := tr.now(); now.Phase != nic.ClaimMoving {
			t.Errorf("with room it is %+v", now)
		}
		other := nic.NewMoveID()
		if _, err := tr.alloc.BeginMove(t.Context(), other, tr.claims, "vm2", "web-b"); !errors.Is(err, allocator.ErrRefused) || !strings.Contains(err.Error(), string(tr.move)) {
			t.Errorf("a second move of it: %v", err)
		}
		for name, err := range map[string]error{
			"aim":    tr.alloc.AimMove(t.Context(), other, tr.claims, sandbox("b001")),
			"bring":  tr.alloc.BringNICs(t.Context(), other, tr.claims, "vm2"),
			"finish": tr.alloc.FinishMove(t.Context(), other, tr.claims),
			"park":   tr.alloc.ParkMove(t.Context(), other, tr.claims, "why"),
		} {
			if !errors.Is(err, allocator.ErrNotMoving) {
				t.Errorf("%s of a move that it is not in: %v", name, err)
			}
		}
		if err := tr.alloc.FinishMove(t.Context(), tr.move, tr.claims); !errors.Is(err, allocator.ErrRefused) {
			t.Errorf("finished before it is there: %v", err)
		}
		if err := tr.alloc.BringNICs(t.Context(), tr.move, tr.claims, "vm3"); !errors.Is(err, allocator.ErrInvalid) {
			t.Errorf("brought to a third node: %v", err)
		}
	})
}

// A tenant's quota has room for a move when it is used up: what moves is one NIC.
func TestAMoveFitsAFullQuota(t *testing.T) {
	for _, travel := range []provider.Travel{provider.Carry, provider.Rebuild} {
		travels(t, fake.Options{Travel: travel}, func(t *testing.T, tr *trip) {
			tr.stop()
			start := func() {
				tr.startLogging(allocator.Options{
					Store: tr.store, Providers: map[string]provider.Provider{"fake": tr.cloud}, Networks: tr.networks,
					Tenants: []nic.Tenant{{Name: nic.DefaultTenant, Quota: nic.Quota{NICs: 1, Addresses: 2}}},
				}, slog.New(slog.DiscardHandler))
			}
			start()
			tr.begin()
			tr.leave()
			for range 40 {
				tr.obey()
				got, err := tr.alloc.Acquire(t.Context(), owner("a002"), "other", nic.Request{Interface: "eth0", Network: "lab"})
				if err != nil || got.Phase != nic.ClaimRefused || got.Conditions[0].Reason != nic.ReasonQuotaExceeded {
					t.Fatalf("the tenant's next container gets %+v, %v", got, err)
				}
				tr.stop()
				start()
				tr.wait(20 * time.Millisecond)
			}
			tr.until("in on vm2", tr.in("vm2"))
			tr.finish()
		})
	}
}

// What an agent says by the epoch of before is passed over while the claim moves,
// and is stale once it has moved (F65).
func TestF65_AMovingClaimPassesOldWordsOver(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		was := tr.now()
		tr.begin()
		moving := tr.now()
		say := func(state nic.ObservedState, epoch uint64) error {
			return tr.alloc.Report(tr.as(tr.sessions["vm1"]), "vm1", nic.NodeReport{Session: tr.sessions["vm1"], NICs: []nic.Observed{{
				NIC: was.NIC, Claim: was.ID, Epoch: epoch, State: state,
			}}})
		}
		for _, state := range []nic.ObservedState{nic.ObservedIn, nic.ObservedMade, nic.ObservedClean} {
			if err := say(state, was.Epoch); err != nil {
				t.Errorf("report %s: %v", state, err)
			}
			if now := tr.now(); now.Epoch != moving.Epoch || now.Phase != nic.ClaimMoving || tr.at().Seen != "" || tr.at().Phase != nic.PhaseHeld {
				t.Errorf("by %s it is %+v at %+v", state, now, tr.at())
			}
		}
		tr.leave()
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
		now := tr.now()
		for _, state := range []nic.ObservedState{nic.ObservedIn, nic.ObservedMade, nic.ObservedClean} {
			for _, epoch := range []uint64{was.Epoch, moving.Epoch} {
				if err := say(state, epoch); !errors.Is(err, allocator.ErrStale) {
					t.Errorf("report %s after the pivot: %v", state, err)
				}
			}
		}
		if after := tr.now(); after.Phase != now.Phase || after.NIC != now.NIC || after.Epoch != now.Epoch {
			t.Errorf("by old words it is %+v, was %+v", after, now)
		}
	})
}

// A clean report that comes late, of a stay before the last, takes nothing away.
func TestAMovePassesACleanWordOfBeforeOver(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		tr.begin()
		tr.leave()
		late := tr.now()
		n, err := tr.alloc.NIC(t.Context(), late.NIC)
		if err != nil || n.Phase != nic.PhaseReturning {
			t.Fatalf("on its way it is %+v, %v", n, err)
		}
		tr.goBack()
		tr.bring("vm1")
		tr.stopAndStart()
		tr.frozen["vm1"] = true
		tr.bring("vm2")
		err = tr.alloc.Report(t.Context(), "vm1", nic.NodeReport{Session: tr.sessions["vm1"], NICs: []nic.Observed{{NIC: n.ID, Turn: n.Turn, State: nic.ObservedClean}}})
		if err != nil {
			t.Fatal(err)
		}
		tr.wait(10 * time.Second)
		if at := tr.at(); at.Node != "vm1" || at.Phase != nic.PhaseReturning || at.Seen != "" {
			t.Errorf("by the late word it is %+v", at)
		}
	})
}

// What cannot be plugged in on the target waits there, and comes back whole.
func TestAMoveWhoseTargetTakesNothing(t *testing.T) {
	for _, travel := range []provider.Travel{provider.Carry, provider.Rebuild} {
		travels(t, fake.Options{Travel: travel, NICsPerInstance: 1, Latency: fake.Latency{Attach: time.Second, Detach: time.Second}}, func(t *testing.T, tr *trip) {
			was := tr.now()
			tr.begin()
			// A stranger takes the slot that was the claim's: nothing can keep it from that.
			thief := nic.NewID()
			if _, err := tr.cloud.Create(t.Context(), nic.Spec{NIC: thief, MAC: nic.NewMAC()}); err != nil {
				t.Fatal(err)
			}
			if _, err := tr.cloud.Attach(t.Context(), thief, nic.Place{Node: "vm2", Instance: "vm2"}); err != nil {
				t.Fatal(err)
			}
			tr.leave()
			for range 60 { // longer than any plugging may last
				tr.obeyUnsound()
				tr.wait(10 * time.Second)
			}
			at := tr.at()
			if at.Node != "vm2" || at.Phase != nic.PhasePlanned || len(at.Conditions) == 0 || at.Conditions[0].Reason != nic.ReasonExhausted {
				t.Errorf("with no slot it is %+v", at)
			}
			tr.goBack()
			tr.bring("vm1")
			for range 60 {
				tr.obeyUnsound()
				tr.wait(time.Second)
			}
			if !tr.in("vm1")() {
				t.Errorf("back it is %+v", tr.at())
			}
			tr.cancel()
			tr.sameIdentity(was)
		})
	}
}

// A stopped container without a NIC moves, and gets one on the target alone.
func TestAStoppedContainerMoves(t *testing.T) {
	for _, back := range []bool{false, true} {
		bothWays(t, func(t *testing.T, tr *trip) {
			was := tr.now()
			if was.Identity.Given { // it has given its address back with the seat, and does not move
				return
			}
			tr.runs[sandbox("a001")] = false
			tr.until("the hold is over", func() bool { return tr.now().NIC == "" })
			tr.begin()
			if at := tr.at(); at.NIC != "" {
				t.Errorf("begun it has %+v", at)
			}
			tr.leave()
			tr.until("in on vm2", tr.in("vm2"))
			if back {
				tr.runs[sandbox("b001")] = false
				tr.bring("vm1")
				tr.until("gone", func() bool { return tr.at().NIC == "" })
				tr.cancel()
				if now := tr.now(); now.Phase != nic.ClaimPending || now.StoppedAt.IsZero() || now.NIC != "" {
					t.Errorf("back it is %+v", now)
				}
			} else {
				tr.finish()
			}
			tr.sameIdentity(was)
			tr.nothingLeft()
		})
	}
}

// The addresses that a DHCP server gave are said at the new place; and what is left
// behind is not given back to it.
func TestAMoveTellsTheAddressesOfDHCP(t *testing.T) {
	travels(t, fake.Options{}, func(t *testing.T, tr *trip) {
		claim := tr.acquireOther("a002", "lab")
		tr.runs[sandbox("a002")] = true
		tr.until("bound", func() bool { return tr.claim(claim).Phase == nic.ClaimBound })
		leased := netip.MustParsePrefix("10.9.0.7/24")
		now := tr.claim(claim)
		err := tr.alloc.Report(t.Context(), "vm1", nic.NodeReport{Session: tr.sessions["vm1"], NICs: []nic.Observed{{
			NIC: now.NIC, Claim: claim, Epoch: now.Epoch, State: nic.ObservedIn, Running: true, Addrs: []netip.Prefix{leased},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		tr.claims = []nic.ClaimID{claim}
		tr.begin()
		tr.aim()
		tr.runs[sandbox("a002")], tr.runs[sandbox("b001")] = false, true
		tr.bring("vm2")
		tr.frozen["vm1"] = true
		wanted, _, err := tr.alloc.Wanted(t.Context(), "vm1", 0)
		at := slices.IndexFunc(wanted, func(w nic.Wanted) bool { return w.NIC == now.NIC })
		if err != nil || at < 0 || !wanted[at].Gone || !wanted[at].Moves || wanted[at].Owner != now.Owner || len(wanted[at].Last) > 0 {
			t.Fatalf("wanted of vm1: %+v, %v", wanted, err)
		}
		tr.frozen["vm1"] = false
		tr.until("in on vm2", tr.in("vm2"))
		if w := tr.last[now.NIC]; !slices.Equal(w.Last, []netip.Prefix{leased}) || w.Moves || w.Gone || !w.Layer3.DHCP {
			t.Errorf("wanted of vm2: %+v", w)
		}
		tr.finish()
	})
}

func (tr *trip) acquireOther(name, network string) nic.ClaimID {
	tr.t.Helper()
	return tr.acquire(name, network).ID
}

// Agents are woken by each step of a move that changes what is wanted of their node,
// and by an order: one that knows all has better things to do.
func TestAMoveWakesBothNodes(t *testing.T) {
	travels(t, fake.Options{}, func(t *testing.T, tr *trip) {
		wakes := func(what string, do func(), nodes ...string) {
			t.Helper()
			woken := make(chan string, 2)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for _, node := range []string{"vm1", "vm2"} {
				_, rev, err := tr.alloc.Wanted(t.Context(), node, tr.sessions[node])
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					if _, err := tr.alloc.WaitChange(api.WithSession(ctx, tr.sessions[node]), node, rev); err != nil {
						node = ""
					}
					woken <- node
				}()
			}
			synctest.Wait()
			do()
			got := slices.DeleteFunc([]string{<-woken, <-woken}, func(n string) bool { return n == "" })
			slices.Sort(got)
			if !slices.Equal(got, nodes) {
				t.Errorf("%s wakes %v, want %v", what, got, nodes)
			}
		}
		wakes("begin", tr.begin, "vm1")
		wakes("aim", tr.aim)
		tr.stopAndStart()
		wakes("bring", func() { tr.bring("vm2") }, "vm1", "vm2")
		tr.until("in on vm2", tr.in("vm2"))
		wakes("finish", tr.finish, "vm2")
		var at store.Rev
		order := func(state nic.TaskState) func() {
			return func() {
				op, err := store.UpdateJSON("task/vm2/mov-1.stop", nic.Task{State: state}, at)
				if err != nil {
					t.Fatal(err)
				}
				if at, err = tr.store.Commit(t.Context(), op); err != nil {
					t.Fatal(err)
				}
			}
		}
		wakes("an order", order(nic.TaskPending), "vm2")
		wakes("its progress", order(nic.TaskRunning))
	})
}

// The claims of a container are found by its name, its id and the beginning of that.
func TestClaimsOfAContainer(t *testing.T) {
	travels(t, fake.Options{}, func(t *testing.T, tr *trip) {
		other, err := tr.alloc.Acquire(t.Context(), onVM2("b009"), "a001", nic.Request{Interface: "eth0", Network: "lab"})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			node, container string
			want            nic.ClaimID
			err             error
		}{
			{"vm1", "a001", tr.claims[0], nil},
			{"vm2", "a001", other.ID, nil},
			{"", "a001", "", allocator.ErrInvalid},
			{"", sandbox("b009"), other.ID, nil},
			{"", sandbox("b009")[:12], "", allocator.ErrInvalid}, // both begin so
			{"vm1", sandbox("b009")[:12], tr.claims[0], nil},
			{"vm1", "nobody", "", allocator.ErrNotFound},
		} {
			got, err := tr.alloc.OfContainer(t.Context(), c.node, c.container)
			if !errors.Is(err, c.err) || c.err == nil && (len(got) != 1 || got[0].ID != c.want) {
				t.Errorf("%s on %q: %+v, %v", c.container, c.node, got, err)
			}
		}
		tr.begin()
		tr.aim()
		for node, want := range map[string]nic.ClaimID{"vm1": tr.claims[0], "vm2": other.ID} {
			if got, err := tr.alloc.OnNode(t.Context(), node); err != nil || len(got) != 1 || got[0].ID != want {
				t.Errorf("on %s: %+v, %v", node, got, err)
			}
		}
	})
}

// NICs in reserve make room for what moves there.
func TestAMoveHasTheSlotsOfTheReserve(t *testing.T) {
	for _, travel := range []provider.Travel{provider.Carry, provider.Rebuild} {
		bubble(t, fake.Options{Travel: travel, NICsPerInstance: 1}, func(t *testing.T, r *rig) {
			tr := onTheRoad(r, "web")
			tr.stop()
			tr.networks[2].Pool = nic.Pool{Min: 1, Max: 1, Idle: nic.Duration(time.Hour)}
			tr.start()
			spares := func() (n int) {
				records, err := allocator.ReadRecords(t.Context(), tr.store)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range records.NICs {
					if v.Phase == nic.PhaseSpare {
						n++
					}
				}
				return n
			}
			tr.until("full of its reserve", func() bool { return spares() == 1 })
			if room, err := tr.alloc.MoveRoom(t.Context(), tr.claims, "vm2"); err != nil || len(room.Refusals) > 0 {
				t.Errorf("room on vm2: %+v, %v", room.Refusals, err)
			}
			tr.begin()
			tr.leave()
			tr.until("in on vm2", tr.in("vm2"))
			tr.finish()
		})
	}
}
