//go:build linux

package vmagent_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// create creates a container that is not started.
func (e *engine) create(id string, labels map[string]string) {
	e.change(id, func() {
		e.all[id] = containers.Container{ID: id, Name: "c" + id[60:], Labels: labels, NetworkMode: "none", Unstarted: true}
	})
}

// plugIn has a NIC with the MAC come up in the guest, as the hypervisor's doing.
// The far end lies in the hypervisor.
func (r *rig) plugIn(name string, mac nic.MAC) {
	r.t.Helper()
	netnstest.Run(r.t, r.host, "ip", "link", "add", name, "address", mac.String(), "type", "veth", "peer", "name", "tap-"+name)
}

func (r *rig) view(id string) api.ClaimView {
	claim, ok := r.claims()[id]
	if !ok {
		return api.ClaimView{}
	}
	view, err := r.alloc.Claim(r.t.Context(), claim.ID)
	if err != nil {
		return api.ClaimView{}
	}
	return view
}

// observed waits until the node says so of a container's NIC.
func (r *rig) observed(id string, state nic.ObservedState) api.ClaimView {
	r.t.Helper()
	r.until("the NIC of "+id[60:]+" to be "+string(state), func() bool {
		o := r.view(id).Observed
		return o != nil && o.State == state
	})
	return r.view(id)
}

var pluggedIn = map[string]string{nic.LabelNetwork: "plugged"}

// A NIC that is plugged in goes through a container's whole life.
func TestAPluggedNICsLife(t *testing.T) {
	r := newRig(t)
	before := r.names()
	r.engine.create(id(1), pluggedIn)
	waits := r.observed(id(1), nic.ObservedWaiting)
	if c := waits.Observed.Conditions; len(c) != 1 || c[0].Reason != nic.ReasonWaitingForNIC || c[0].Deadline.IsZero() ||
		!strings.Contains(c[0].Message, waits.Identity.MAC.String()) {
		t.Errorf("while it is waited for: %+v", c)
	}
	r.plugIn("ens7", waits.Identity.MAC)
	if ready := r.observed(id(1), nic.ObservedMade); len(ready.Conditions)+len(ready.Observed.Conditions) != 0 || ready.Phase != nic.ClaimReady {
		t.Errorf("before the start: %+v, %+v", ready.Claim, ready.Observed)
	}
	ns := r.engine.run(t, id(1), pluggedIn)
	claim := r.bound(id(1))
	if got := r.links(ns); claim.NIC != waits.NIC || !strings.Contains(got, "eth0    inet 10.2.0.10/24") {
		t.Errorf("in the container %s:\n%s", claim.NIC, got)
	}
	// What a container may do to it does not come home.
	netnstest.Run(t, ns, "ip", "link", "set", "eth0", "mtu", "1300", "promisc", "on")
	netnstest.Run(t, ns, "ip", "link", "property", "add", "dev", "eth0", "altname", "mine")
	netnstest.Run(t, ns, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "1mbit", "burst", "4kb", "latency", "1ms")
	r.engine.die(id(1))
	r.observed(id(1), nic.ObservedMade)
	home := netnstest.Run(t, r.host, "ip", "-d", "addr", "show", "dev", claim.NIC.LinkName("nt"))
	for _, bad := range []string{"state UP", ",UP", "inet", "altname", "tbf", "promiscuity 1", "mtu 1300"} {
		if strings.Contains(home, bad) {
			t.Errorf("at home there is %q:\n%s", bad, home)
		}
	}
	if !strings.Contains(home, "link/ether "+claim.Identity.MAC.String()) {
		t.Errorf("at home it has not its MAC %s:\n%s", claim.Identity.MAC, home)
	}
	r.engine.remove(id(1))
	r.until("the claim to be gone", func() bool { return len(r.claims()) == 0 })
	if seen, _ := r.cloud.List(t.Context()); len(seen) != 0 {
		t.Errorf("the hypervisor still has %v", seen)
	}
	netnstest.Run(t, r.host, "ip", "link", "del", claim.NIC.LinkName("nt")) // the hypervisor's doing
	if after := r.names(); after != before {
		t.Errorf("host before:\n%s\nafter:\n%s", before, after)
	}
}

// Workers that wait for NICs hold nobody up.
func TestAPluggedNICThatTakesItsTimeHoldsUpNobody(t *testing.T) {
	r := newRig(t)
	const many = 12 // more than there are workers
	for n := range many {
		r.engine.run(t, id(10+n), pluggedIn)
	}
	r.observed(id(10+many-1), nic.ObservedWaiting)
	r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
	r.bound(id(1))
	for n := range many {
		r.plugIn(fmt.Sprintf("ens%d", n), r.observed(id(10+n), nic.ObservedWaiting).Identity.MAC)
	}
	for n := range many {
		r.bound(id(10 + n))
	}
}

// F09, whole: nothing ever comes up in the guest.
func TestF09_TheAgentGivesBackWhatItNeverSaw(t *testing.T) {
	r := newRigWith(t, 100*time.Millisecond)
	r.engine.run(t, id(1), pluggedIn)
	r.until("the claim to be refused for it", func() bool {
		c := r.claims()[id(1)]
		return c.Phase == nic.ClaimRefused && len(c.Setbacks) == 1 &&
			strings.Contains(c.Conditions[0].Message, "the guest here has not seen MAC "+c.Identity.MAC.String())
	})
	r.until("the NIC to be unplugged", func() bool { seen, err := r.cloud.List(t.Context()); return err == nil && len(seen) == 0 })
}

// A container that lives, by its process, gets its NIC at once when that is plugged
// in, and not only when the engine has found the time to speak of it.
func TestAPluggedNICWaitsForNoEngine(t *testing.T) {
	r := newRig(t)
	ns := r.engine.space(t)
	process := exec.Command("sleep", "600")
	if err := ns.Do(process.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill() // its end is the test's
		_ = process.Wait()
	})
	r.engine.runIn(ns, id(1), process.Process.Pid, pluggedIn)
	mac := r.observed(id(1), nic.ObservedWaiting).Identity.MAC
	r.engine.mu.Lock()
	r.engine.deaf = true
	r.engine.mu.Unlock()
	r.plugIn("ens7", mac)
	r.observed(id(1), nic.ObservedIn)
	if got := r.links(ns); !strings.Contains(got, "eth0    inet 10.2.0.10/24") {
		t.Errorf("in the container:\n%s", got)
	}
	r.engine.mu.Lock()
	r.engine.deaf = false
	r.engine.mu.Unlock()
}

// F37: udev gives the NIC another name whenever it likes.
func TestF37_ALateRenameMisleadsNobody(t *testing.T) {
	r := newRig(t)
	r.engine.create(id(1), pluggedIn)
	mac := r.observed(id(1), nic.ObservedWaiting).Identity.MAC
	r.plugIn("eth7", mac)
	r.observed(id(1), nic.ObservedMade)
	netnstest.Run(t, r.host, "ip", "link", "set", "eth7", "name", "enp7s0")
	netnstest.Run(t, r.host, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "other7") // another takes the name
	ns := r.engine.run(t, id(1), pluggedIn)
	claim := r.bound(id(1))
	if got := netnstest.Run(t, ns, "ip", "link", "show", "eth0"); !strings.Contains(got, mac.String()) {
		t.Errorf("in the container:\n%s\nwant %s", got, mac)
	}
	r.engine.die(id(1))
	r.observed(id(1), nic.ObservedMade)
	netnstest.Run(t, r.host, "ip", "link", "set", claim.NIC.LinkName("nt"), "name", "enp7s0")
	ns = r.engine.run(t, id(1), pluggedIn)
	r.bound(id(1))
	if got := netnstest.Run(t, ns, "ip", "link", "show", "eth0"); !strings.Contains(got, mac.String()) {
		t.Errorf("started again:\n%s\nwant %s", got, mac)
	}
}

// Two NICs with the MAC: neither is taken, and both are named.
func TestTwoNICsWithOneMACAreRefused(t *testing.T) {
	r := newRig(t)
	ns := r.engine.run(t, id(1), pluggedIn)
	mac := r.observed(id(1), nic.ObservedWaiting).Identity.MAC
	netnstest.Run(t, r.host, "ip", "link", "add", "spare0", "type", "veth", "peer", "name", "spare1")
	netnstest.Run(t, r.host, "ip", "link", "add", "spare2", "type", "veth", "peer", "name", "spare3")
	if err := r.stop(); err != nil { // so that the next agent sees both at once
		t.Fatal(err)
	}
	netnstest.Run(t, r.host, "ip", "link", "set", "spare0", "address", mac.String())
	netnstest.Run(t, r.host, "ip", "link", "set", "spare2", "address", mac.String())
	r.start()
	r.until("the node to name both", func() bool {
		o := r.view(id(1)).Observed
		return o != nil && len(o.Conditions) == 1 && strings.Contains(o.Conditions[0].Message, "several NICs have this MAC") &&
			strings.Contains(o.Conditions[0].Message, "spare0, spare2")
	})
	if got := r.links(ns); strings.Contains(got, "eth0") {
		t.Errorf("one of them was taken:\n%s", got)
	}
	netnstest.Run(t, r.host, "ip", "link", "del", "spare2")
	r.bound(id(1))
}

// The VM boots anew: its NICs come back under other names, its containers are
// started by their policy, the agent remembers nothing.
func TestABootOfTheVMKeepsClaims(t *testing.T) {
	r := newRig(t)
	labels := map[string]string{nic.LabelNetwork: "plugged", nic.LabelNIC + "eth1": "network=veth"}
	r.engine.run(t, id(1), labels)
	claims := func() map[string]nic.Claim {
		views, err := r.alloc.Claims(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]nic.Claim{}
		for _, v := range views {
			all[v.Owner.Interface] = v.Claim
		}
		return all
	}
	both := func() bool {
		c := claims()
		return c["eth0"].Phase == nic.ClaimBound && c["eth1"].Phase == nic.ClaimBound
	}
	r.until("the first claim", func() bool { return claims()["eth0"].Phase == nic.ClaimReady })
	mac := claims()["eth0"].Identity.MAC
	r.plugIn("ens7", mac)
	r.until("both NICs", both)
	was := claims()

	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.engine.die(id(1)) // with its namespace, and all that was in it
	r.until("the old kernel's NICs to be gone", func() bool { return !strings.Contains(r.names(), "tap-ens7") })
	r.dir, r.boot = t.TempDir(), "second"
	r.plugIn("enp9s0", mac)
	ns := r.engine.run(t, id(1), labels)
	r.start()
	r.until("both NICs in the container", func() bool {
		got := r.links(ns)
		return strings.Contains(got, "eth0    inet 10.2.0.10/24") && strings.Contains(got, "eth1    inet 10.0.0.10/24")
	})
	r.until("both claims", both)
	for name, c := range claims() {
		if c.NIC != was[name].NIC || c.ID != was[name].ID {
			t.Errorf("%s: claim %s with %s, was %s with %s", name, c.ID, c.NIC, was[name].ID, was[name].NIC)
		}
	}
}

// indexOf a link, which stays the same where it goes.
func indexOf(t *testing.T, ns *netns.Namespace, name string) string {
	t.Helper()
	index, _, _ := strings.Cut(netnstest.Run(t, ns, "ip", "-o", "link", "show", "dev", name), ":")
	return index
}

// Ahead of the start also what the node makes itself is made, and an agent
// that takes over between create and start goes on from there.
func TestMadeNICsAreReadyBeforeTheStart(t *testing.T) {
	for _, network := range []string{"veth", "macvlan"} {
		t.Run(network, func(t *testing.T) {
			r := newRig(t)
			before := r.names()
			labels := map[string]string{nic.LabelNetwork: network}
			r.engine.create(id(1), labels)
			ready := r.observed(id(1), nic.ObservedMade)
			index := indexOf(t, r.host, ready.NIC.LinkName("nt"))
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			r.start()
			ns := r.engine.run(t, id(1), labels)
			claim := r.bound(id(1))
			if got := indexOf(t, ns, "eth0"); got != index || claim.NIC != ready.NIC || claim.Request.Unstarted {
				t.Errorf("in the container is link %s, claim %+v; want link %s", got, claim, index)
			}
			r.engine.die(id(1))
			r.engine.remove(id(1))
			r.until("the claim to be gone", func() bool { return len(r.claims()) == 0 })

			r.engine.create(id(2), labels)
			r.observed(id(2), nic.ObservedMade)
			r.engine.remove(id(2)) // never started
			r.until("the claim to be gone", func() bool { return len(r.claims()) == 0 })
			if after := r.names(); after != before {
				t.Errorf("host before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// What was asked at the creation is not asked again at the start.
func TestTheStartAsksForNothing(t *testing.T) {
	r := newRig(t)
	labels := map[string]string{nic.LabelNetwork: "veth"}
	asked := func() int {
		r.away.mu.Lock()
		defer r.away.mu.Unlock()
		return r.away.asked
	}
	r.engine.create(id(1), labels)
	r.observed(id(1), nic.ObservedMade)
	r.engine.run(t, id(1), labels)
	if claim := r.bound(id(1)); claim.Request.Unstarted || asked() != 0 {
		t.Errorf("asked %d times at the start, want 0; claim %+v", asked(), claim)
	}
}
