//go:build linux

package vmagent_test

import (
	"regexp"
	"testing"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// P5: a controller that is slow to give NICs must not keep the agent from
// taking back those of containers that die.
func TestP5_ASlowControllerHoldsUpNoPullOut(t *testing.T) {
	r := newRig(t)
	r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
	r.bound(id(1))
	r.away.mu.Lock()
	r.away.hangs = true
	r.away.mu.Unlock()
	for n := range 10 { // more than there are workers
		r.engine.run(t, id(10+n), map[string]string{nic.LabelNetwork: "veth"})
	}
	r.engine.die(id(1))
	r.until("the NIC to be out", func() bool { return r.claims()[id(1)].Phase == nic.ClaimReady })
}

// transmits finds eth0 with packets sent in what ip -s -j link shows.
var transmits = regexp.MustCompile(`"ifname":"eth0".*"tx":{"bytes":[1-9]`)

// A container that destroys its NIC gets it back, and the lease is asked for
// over the new one.
func TestTheLeaseFollowsANICThatWasDestroyed(t *testing.T) {
	r := newRig(t)
	ns := r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "dhcp"})
	asks := func() bool {
		return transmits.MatchString(netnstest.Run(t, ns, "ip", "-s", "-j", "link", "show"))
	}
	r.until("the first NIC to ask for a lease", asks)
	netnstest.Run(t, ns, "ip", "link", "del", "eth0")
	r.engine.change(id(1), func() {})
	r.until("the second NIC to ask for a lease", asks)
}

// The NIC is wanted back from a container that has started again meanwhile:
// what is said of it must not make the container look stopped.
func TestATakenBackNICDoesNotStopItsContainer(t *testing.T) {
	r := newRig(t)
	labels := map[string]string{nic.LabelNetwork: "brief"}
	r.engine.run(t, id(1), labels)
	first := r.bound(id(1))
	if err := r.stop(); err != nil { // so that the NIC is not given back yet
		t.Fatal(err)
	}
	r.engine.die(id(1))
	node, err := r.alloc.Hello(t.Context(), "here", nic.Inventory{})
	if err != nil {
		t.Fatal(err)
	}
	err = r.alloc.Report(t.Context(), "here", nic.NodeReport{Session: node.Session, NICs: []nic.Observed{{
		NIC: first.NIC, Claim: first.ID, Epoch: first.Epoch, State: nic.ObservedMade,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	r.until("the hold to be over", func() bool { return r.claims()[id(1)].Phase == nic.ClaimPending })
	r.engine.run(t, id(1), labels)
	r.start()
	if again := r.bound(id(1)); again.NIC == first.NIC || again.Identity.MAC != first.Identity.MAC {
		t.Errorf("it has %s with %s, want another NIC with %s", again.NIC, again.Identity.MAC, first.Identity.MAC)
	}
	r.away.mu.Lock()
	defer r.away.mu.Unlock()
	for _, o := range r.away.said {
		if o.State == nic.ObservedClean && !o.Running {
			t.Errorf("said %+v of a container that runs", o)
		}
	}
}
