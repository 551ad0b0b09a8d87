package allocator_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// The container that a claim comes from goes by somebody else's hand: its agent is
// content, and the move decides.
func TestAMovesContainerIsRemoved(t *testing.T) {
	for _, back := range []bool{false, true} {
		bothWays(t, func(t *testing.T, tr *trip) {
			was := tr.now()
			tr.begin()
			tr.runs[sandbox("a001")] = false
			for _, epoch := range []uint64{was.Epoch, was.Epoch + 1} {
				if err := tr.alloc.Release(tr.as(tr.sessions["vm1"]), was.ID, epoch); err != nil {
					t.Errorf("its agent releases: %v", err)
				}
			}
			if now := tr.now(); now.Phase != nic.ClaimMoving || !now.Move.Lost {
				t.Errorf("lost it is %+v", now)
			}
			if back {
				tr.cancel()
				tr.until("released", func() bool { return tr.now().ID == "" })
				tr.wait(time.Minute)
				tr.empty()
				return
			}
			tr.leave()
			tr.until("in on vm2", tr.in("vm2"))
			if err := tr.alloc.Release(tr.as(tr.sessions["vm2"]), was.ID, was.Epoch+1); err != nil {
				t.Errorf("the target's agent releases: %v", err)
			}
			tr.finish()
			tr.nothingLeft()
		})
	}
}

// gone has a node given up for good, by an operator.
func (tr *trip) gone(node string) {
	tr.t.Helper()
	tr.mute[node] = true
	for range 10 { // its agent says nothing for long enough
		tr.obey()
		tr.wait(20 * time.Second)
	}
	if _, err := tr.alloc.ForgetNode(tr.t.Context(), node, false); err != nil {
		tr.t.Fatal(err)
	}
	delete(tr.sessions, node)
	tr.wait(10 * time.Second)
}

// The source is lost after the container was ordered to stop: the move goes on, with
// the NIC taken from it by the operator's word.
func TestTheSourceOfAMoveIsForgotten(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		was := tr.now()
		tr.begin()
		tr.leave()
		tr.gone("vm1")
		if _, dead, err := tr.alloc.Dead(t.Context(), "vm1"); !dead || err != nil {
			t.Errorf("a node that is forgotten is dead: %v, %v", dead, err)
		}
		tr.bring("vm2")
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
		tr.sameIdentity(was)
		tr.nothingLeft()
	})
}

// The same before anything was brought: there is nothing to go back to.
func TestTheSourceOfAMoveIsForgottenAtOnce(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		tr.begin()
		tr.gone("vm1")
		if now := tr.now(); now.Phase != nic.ClaimMoving || !now.Move.Lost {
			t.Errorf("it is %+v", now)
		}
		tr.cancel()
		tr.wait(10 * time.Second)
		if now := tr.now(); now.ID != "" {
			t.Errorf("cancelled it is %+v", now)
		}
		tr.wait(time.Minute)
		tr.empty()
	})
}

// The target is lost with the NIC on it: the NIC goes back to where it came from.
func TestTheTargetOfAMoveIsForgotten(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		was := tr.now()
		tr.begin()
		tr.leave()
		tr.until("in on vm2", tr.in("vm2"))
		tr.mute["vm2"] = true
		tr.goBack()
		tr.bring("vm1")
		if _, err := tr.alloc.RemoveNode(t.Context(), "vm2", false); !errors.Is(err, allocator.ErrRefused) {
			t.Errorf("a node that claims move to is removed: %v", err)
		}
		tr.gone("vm2")
		tr.bring("vm1")
		tr.until("in on vm1", tr.in("vm1"))
		tr.cancel()
		tr.sameIdentity(was)
		tr.until("bound", func() bool { return tr.now().Phase == nic.ClaimBound })
		tr.nothingLeft()
	})
}

// A revoked source keeps what it has; seized, its NIC is taken, and the claim is left
// to its move.
func TestTheSourceOfAMoveIsRevoked(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		tr.begin()
		tr.aim()
		tr.mute["vm1"] = true
		if _, err := tr.alloc.RevokeNode(t.Context(), "vm1", true, false); err != nil {
			t.Fatal(err)
		}
		clear(tr.links["vm1"]) // its provider unplugs the NIC
		tr.wait(10 * time.Second)
		if now := tr.now(); now.Phase != nic.ClaimMoving {
			t.Errorf("its claim is %+v", now)
		}
		tr.stopAndStart()
		tr.bring("vm2")
		if tr.now().Move.ByAddress { // its provider does not
			tr.gone("vm1")
		}
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
	})
}

// P1: what a revoked node has is seized while its address is to move. The NIC stays
// plugged in there, as it has the address still, so the address stays, too, until
// somebody knows that nothing runs on the node.
func TestP1_ASeizedNodeKeepsAnAddressThatMoves(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{false, true} {
		byAddress(t, fake.Options{}, nic.Cloud{Movable: true, Shared: true}, func(t *testing.T, tr *trip) {
			was := tr.now()
			tr.begin()
			tr.mute["vm1"] = true
			if before { // the node is told to be done with it, and hangs
				tr.leave()
				tr.wait(time.Second)
			}
			if _, err := tr.alloc.RevokeNode(t.Context(), "vm1", true, false); err != nil {
				t.Fatal(err)
			}
			if !before {
				tr.leave()
			}
			for range 100 {
				tr.obey()
				tr.wait(time.Second)
			}
			if c := tr.cloud.Counts()[fake.OpAssign]; c.Calls != 0 || tr.at().Node != "vm1" {
				t.Fatalf("assigned %+v, it is %+v", c, tr.at())
			}
			tr.gone("vm1")
			tr.until("in on vm2", tr.in("vm2"))
			tr.finish()
			tr.sameIdentity(was)
		})
	}
}

// A powered fake says of machines whether they are off.
type powered struct {
	provider.Provider
	off map[nic.InstanceID]bool
	err error
}

func (p *powered) Unwrap() provider.Provider { return p.Provider }

func (p *powered) Off(_ context.Context, instance nic.InstanceID) (bool, error) {
	return p.off[instance], p.err
}

// A machine that is off says no more that a NIC is clean, and has none.
func TestAMoveOffADeadMachine(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		tr.stop()
		power := &powered{Provider: tr.cloud, off: map[nic.InstanceID]bool{}, err: errors.New("no answer")}
		tr.via = power
		tr.start()
		tr.wait(time.Second)
		tr.begin()
		tr.leave()
		tr.mute["vm1"] = true
		dead := func(want bool) {
			t.Helper()
			if why, is, _ := tr.alloc.Dead(t.Context(), "vm1"); is != want || is != (why != "") {
				t.Errorf("dead: %v, %q", is, why)
			}
		}
		for range 10 {
			dead(false)
			tr.obey()
			tr.wait(time.Second)
		}
		if at := tr.at(); at.Node != "vm1" || at.Phase != nic.PhaseReturning {
			t.Errorf("silence takes nothing: %+v", at)
		}
		power.err = nil
		dead(false)
		power.off["vm1"] = true
		clear(tr.links["vm1"])
		dead(true)
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
	})
}

// A sweep in the middle of a move finds nothing, and takes nothing.
func TestAuditLeavesMovesAlone(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		tr.begin()
		tr.aim()
		for i := range 90 {
			if i == 3 || i == 60 {
				tr.stopAndStart()
				tr.bring("vm2")
			}
			if i == 30 {
				tr.goBack()
				tr.bring("vm1")
			}
			tr.obey()
			tr.faultless(true)
			tr.wait(70 * time.Millisecond)
		}
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
	})
}

// What is said of a container that has moved goes with the container, as its engine
// says.
func TestAuditForgetsWhatIsLeftBehind(t *testing.T) {
	travels(t, fake.Options{}, func(t *testing.T, tr *trip) {
		was := tr.now()
		tr.begin()
		tr.leave()
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
		census := &counted{now: nic.Census{Containers: []string{sandbox("a001")}}}
		stop := tr.answers(census.get)
		tr.audit(true, api.FindingNodeSilent)
		tr.givenAway(was)
		census.set(func(c *nic.Census) { c.Containers = nil })
		tr.audit(true, api.FindingDangling, api.FindingNodeSilent)
		stop()
		if got, err := tr.alloc.Acquire(t.Context(), was.Owner, "anew", nic.Request{Interface: "eth0", Network: "lab"}); err != nil || got.Phase == nic.ClaimRefused {
			t.Errorf("a container of that id gets %+v, %v", got, err)
		}
	})
}
