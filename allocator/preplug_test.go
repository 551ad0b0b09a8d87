package allocator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

const preplug = 5 * time.Minute

// create says that a container has been created and not started.
func (r *rig) create(name, network string) nic.Claim {
	r.t.Helper()
	req := nic.Request{Interface: "eth0", Network: network, DefaultRoute: true, Unstarted: true}
	claim, err := r.alloc.Acquire(r.t.Context(), owner(name), name, req)
	if err != nil {
		r.t.Fatalf("acquire for %s: %v", name, err)
	}
	return claim
}

// ready reports a NIC in the host namespace, of a container that was never started.
func (r *rig) ready(claim nic.Claim) {
	r.t.Helper()
	r.say(nic.Observed{NIC: claim.NIC, Claim: claim.ID, Epoch: claim.Epoch, State: nic.ObservedMade, Unstarted: true})
}

// say reports anything of a NIC.
func (r *rig) say(o nic.Observed) {
	r.t.Helper()
	if err := r.alloc.Report(r.t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{o}}); err != nil {
		r.t.Fatalf("report %s: %v", o.State, err)
	}
	r.wait(time.Nanosecond)
}

// full are the options of a node whose slots are few.
func full(slots int) fake.Options {
	return fake.Options{
		NICsPerInstance: slots, Slot: "hot-plug slot", Bus: "0000:05:00.0",
		Latency: fake.Latency{Attach: 50 * time.Millisecond, Detach: 120 * time.Millisecond},
	}
}

// A container that is created gets its NIC ahead, and starting it asks for
// nothing more.
func TestANICIsPluggedInAheadOfTheStart(t *testing.T) {
	bubble(t, full(8), func(t *testing.T, r *rig) {
		claim := r.wants(r.create("0001", "web").ID, nic.ClaimReady, time.Second)
		r.ready(claim)
		r.crash()                       // between create and start
		r.wait(preplug - 2*time.Second) // and just in time:
		calls := len(r.cloud.Calls())
		r.report(claim, nic.ObservedIn, true)
		got := r.wants(claim.ID, nic.ClaimBound, time.Second)
		if got.NIC != claim.NIC || got.Request.Unstarted || !got.StoppedAt.IsZero() {
			t.Errorf("started: %+v; want it with %s, and started", got, claim.NIC)
		}
		r.wait(time.Hour)
		if got := r.claim(claim.ID); got.Phase != nic.ClaimBound || len(r.cloud.Calls()) != calls {
			t.Errorf("an hour later it is %s, and the cloud was asked %v", got.Phase, r.cloud.Calls()[calls:])
		}
		r.create("0001", "web") // a late word of before the start
		if got := r.claim(claim.ID); got.Request.Unstarted {
			t.Error("a container that was started is called unstarted")
		}
		r.report(claim, nic.ObservedMade, false)
		r.wait(2 * time.Minute)
		if got := r.claim(claim.ID); got.Phase != nic.ClaimPending {
			t.Errorf("stopped, and the hold is over: %s; want pending", got.Phase)
		}
	})
}

// One that is never started gives its NIC back and keeps its identity.
func TestANICThatIsNeverUsedIsGivenBack(t *testing.T) {
	bubble(t, full(8), func(t *testing.T, r *rig) {
		claim := r.wants(r.create("0001", "web").ID, nic.ClaimReady, time.Second)
		r.ready(claim)
		r.wait(preplug)
		if got := r.claim(claim.ID); got.Phase != nic.ClaimPending || got.StoppedAt.IsZero() {
			t.Fatalf("not started for %s: %+v; want pending, and waited for no longer", preplug, got)
		}
		r.say(nic.Observed{NIC: claim.NIC, Claim: claim.ID, Epoch: claim.Epoch, State: nic.ObservedClean, Unstarted: true})
		r.wait(time.Second)
		for range 3 { // the agent's resync
			r.create("0001", "web")
			r.wait(time.Minute)
		}
		if seen, _ := r.cloud.List(t.Context()); len(seen) != 0 || r.claim(claim.ID).NIC != "" {
			t.Fatalf("afterwards the cloud has %v, the claim is %+v", seen, r.claim(claim.ID))
		}
		r.acquire("0001", "web") // docker start
		got := r.wants(claim.ID, nic.ClaimReady, time.Second)
		if got.Identity.MAC != claim.Identity.MAC || got.Identity.Addrs[0] != claim.Identity.Addrs[0] || got.Request.Unstarted {
			t.Errorf("started: %+v, want the identity %+v", got, claim.Identity)
		}
	})
}

// A container that starts and dies before anybody looks is stopped, not unstarted.
func TestAShortLifeCountsAsStarted(t *testing.T) {
	bubble(t, full(8), func(t *testing.T, r *rig) {
		claim := r.wants(r.create("0001", "web").ID, nic.ClaimReady, time.Second)
		r.ready(claim)
		r.report(claim, nic.ObservedMade, false)
		if got := r.claim(claim.ID); got.Request.Unstarted || got.StoppedAt.IsZero() {
			t.Errorf("claim is %+v; want started and stopped", got)
		}
		r.wait(2 * time.Minute)
		if got := r.claim(claim.ID); got.Phase != nic.ClaimPending {
			t.Errorf("after the hold it is %s, want pending", got.Phase)
		}
	})
}

func TestPluggingAheadCanBeOff(t *testing.T) {
	bubble(t, full(8), func(t *testing.T, r *rig) {
		claim := r.create("0001", "late")
		r.wait(time.Minute)
		if got := r.claim(claim.ID); got.NIC != "" || got.Phase != nic.ClaimPending || got.Identity.MAC.IsZero() {
			t.Errorf("created: %+v; want an identity and no NIC", got)
		}
		r.acquire("0001", "late")
		r.wants(claim.ID, nic.ClaimReady, time.Second)
	})
}

// Where slots are short, running containers come first.
func TestCreatedContainersTakeNoSlotFromRunningOnes(t *testing.T) {
	bubble(t, full(2), func(t *testing.T, r *rig) {
		var ahead []nic.Claim
		for _, name := range []string{"0001", "0002"} {
			ahead = append(ahead, r.wants(r.create(name, "lab").ID, nic.ClaimReady, time.Second))
			r.ready(ahead[len(ahead)-1])
		}
		third := r.wants(r.create("0003", "lab").ID, nic.ClaimRefused, time.Second)
		if why := third.Conditions[0].Message; why != "vm1: 0 of 2 hot-plug slots free for NICs of provider fake" {
			t.Errorf("refused with %q", why)
		}
		r.create("0003", "lab") // the agent's resync
		r.wait(time.Second)
		if got := r.claim(ahead[0].ID); got.Phase != nic.ClaimReady {
			t.Fatalf("one that was created made another that was created %s", got.Phase)
		}
		running := r.acquire("0004", "lab")
		r.wait(time.Second)
		first, second := r.claim(ahead[0].ID), r.claim(ahead[1].ID)
		if first.Phase != nic.ClaimPending || second.Phase != nic.ClaimReady {
			t.Fatalf("for one that runs the first is %s and the second %s; want pending and ready", first.Phase, second.Phase)
		}
		r.acquire("0004", "lab") // the agent's resync, before the slot is free
		r.wait(time.Second)
		if got := r.claim(ahead[1].ID); got.Phase != nic.ClaimReady {
			t.Fatal("the second was given back for the same one")
		}
		r.say(nic.Observed{NIC: ahead[0].NIC, Claim: first.ID, Epoch: first.Epoch, State: nic.ObservedClean, Unstarted: true})
		r.wants(running.ID, nic.ClaimReady, time.Second)
		if got := r.claim(third.ID); got.Phase != nic.ClaimRefused {
			t.Errorf("the third is %s, want it refused as before", got.Phase)
		}
	})
}

// A slot that frees without any claim's end goes to one that was refused.
func TestTheEndOfAHoldServesTheRefused(t *testing.T) {
	bubble(t, full(1), func(t *testing.T, r *rig) {
		first := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)
		r.report(first, nic.ObservedIn, true)
		second := r.wants(r.acquire("0002", "web").ID, nic.ClaimRefused, time.Second)
		r.report(first, nic.ObservedMade, false)
		r.wait(61 * time.Second)
		r.report(first, nic.ObservedClean, false)
		r.wants(second.ID, nic.ClaimReady, time.Second)
	})
}

// Many ask at once: nothing is made beyond the free slots, also while the first
// are being made and the provider does not count them yet.
func TestNothingIsMadeBeyondTheSlots(t *testing.T) {
	options := slow
	options.NICsPerInstance = 3
	bubble(t, options, func(t *testing.T, r *rig) {
		for i := range 12 {
			r.acquire("00"+string("0123456789ab"[i])+"1", "lab")
		}
		r.wait(time.Minute)
		phases := map[nic.ClaimPhase]int{}
		for _, c := range r.claims() {
			phases[c.Phase]++
			if c.Phase == nic.ClaimRefused && !strings.Contains(c.Conditions[0].Message, "0 of 3 slots free") {
				t.Errorf("refused with %+v", c.Conditions)
			}
		}
		if phases[nic.ClaimReady] != 3 || phases[nic.ClaimRefused] != 9 {
			t.Errorf("claims are %v, want 3 ready and 9 refused", phases)
		}
		if made := r.cloud.Counts()[fake.OpCreate].Effects; made != 3 {
			t.Errorf("%d NICs were made, want 3", made)
		}
	})
}
