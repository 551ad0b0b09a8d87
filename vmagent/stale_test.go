//go:build linux

package vmagent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/nic"
)

// refuse has the next calls of a method refused as stale.
func (a *away) refuse(method string, times int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stale = map[string]int{method: times}
}

func (a *away) refusals() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused
}

// running wants the agent still there.
func (r *rig) running() {
	r.t.Helper()
	select {
	case err := <-r.ended:
		r.t.Fatalf("the agent has ended with %v", err)
	default:
	}
}

// F65: an agent whose call is refused as stale, while its session is the newest,
// asks what is wanted and goes on by that.
func TestF65_ARefusedCallIsDecidedAfresh(t *testing.T) {
	t.Run("acquire", func(t *testing.T) {
		r := newRig(t)
		r.away.refuse("acquire", 2)
		r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
		r.bound(id(1))
		r.wantRefused(2)
	})
	t.Run("report", func(t *testing.T) {
		r := newRig(t)
		r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
		r.bound(id(1))
		r.away.refuse("report", 2)
		r.engine.die(id(1))
		r.until("the claim's container to have stopped", func() bool { return !r.claims()[id(1)].StoppedAt.IsZero() })
		r.wantRefused(2)
	})
	t.Run("release", func(t *testing.T) {
		r := newRig(t)
		r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
		r.bound(id(1))
		r.away.refuse("release", 2)
		r.engine.die(id(1))
		r.engine.remove(id(1))
		r.until("the claim to be gone", func() bool { return len(r.claims()) == 0 })
		r.wantRefused(2)
	})
}

func (r *rig) wantRefused(times int) {
	r.t.Helper()
	if got := r.away.refusals(); got != times {
		r.t.Errorf("%d calls were refused, want %d", got, times)
	}
	r.running()
}

// F65: a claim moves on to another node while its container runs here. The agent
// takes the NIC out, and the container, which asks anew, gets what is free; the
// other's claim is not touched, whatever was said of it before.
func TestF65_AClaimThatMovedOnIsGivenBack(t *testing.T) {
	r := newRig(t)
	ns := r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
	had := r.bound(id(1))
	if _, err := r.alloc.Hello(t.Context(), "there", nic.Inventory{Boot: "x"}); err != nil {
		t.Fatal(err)
	}
	to := nic.Owner{Node: "there", Kind: nic.OwnerContainer, Sandbox: strings.Repeat("f", 64), Interface: "eth0"}
	if _, err := r.alloc.Repoint(t.Context(), had.ID, allocator.Move{To: to, Container: "there"}); err != nil {
		t.Fatal(err)
	}
	r.until("the claim to have its NIC there", func() bool {
		now, err := r.alloc.Claim(t.Context(), had.ID)
		return err == nil && now.Phase == nic.ClaimReady && now.Owner == to && now.NIC != had.NIC
	})
	again := r.bound(id(1))
	if again.ID == had.ID || again.Identity.MAC == had.Identity.MAC || again.Identity.Addrs[0] == had.Identity.Addrs[0] {
		t.Errorf("here the container has %+v, as it had %+v", again, had)
	}
	if links := r.links(ns); strings.Contains(links, had.Identity.Addrs[0].String()) || !strings.Contains(links, again.Identity.Addrs[0].String()) {
		t.Errorf("the container has\n%s", links)
	}
	time.Sleep(300 * time.Millisecond) // it has said what it has to say by now
	now, err := r.alloc.Claim(t.Context(), had.ID)
	if err != nil || now.Epoch != had.Epoch+1 || now.Owner != to || now.Phase != nic.ClaimReady || !now.StoppedAt.IsZero() {
		t.Errorf("the claim that moved on is %+v, %v", now, err)
	}
	r.running()
}
