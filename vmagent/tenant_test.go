//go:build linux

package vmagent_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// pinged is how many echo requests a namespace has taken in since it was made:
// they had the MAC and the address of an interface there.
func (r *rig) pinged(ns *netns.Namespace) int {
	r.t.Helper()
	var names []string
	for line := range strings.Lines(netnstest.Run(r.t, ns, "cat", "/proc/self/net/snmp")) {
		fields := strings.Fields(line)
		switch {
		case fields[0] != "Icmp:":
		case names == nil:
			names = fields
		default:
			for i, name := range names {
				if n, err := strconv.Atoi(fields[i]); name == "InEchos" && err == nil {
					return n
				}
			}
		}
	}
	r.t.Fatal("the kernel counts no InEchos")
	return 0
}

// S14: a peer that still talks to a container which is gone, under its address and
// MAC, does not reach a container of another tenant on the same network, from its
// first moment, though that has the same address. It has another NIC, and knows no
// neighbour of the last's. To one of the same tenant, which has that NIC, the peer
// does talk: what is looked at would show it.
func TestS14_AnotherTenantGetsNothingThatWasForTheLast(t *testing.T) {
	r := newRig(t)
	own := map[string]string{nic.LabelNetwork: "pool"}
	others := map[string]string{nic.LabelNetwork: "pool", nic.LabelTenant: "other"}
	ns := r.engine.run(t, id(1), own)
	first := r.bound(id(1))
	addr, mac := first.Identity.Addrs[0].Addr().String(), first.Identity.MAC.String()
	// The peer is at a port of its own: the bridge is ours, and goes with its last port.
	netnstest.Run(t, r.host, "ip", "link", "set", "wire1", "master", "nf-test")
	netnstest.Run(t, r.host, "ip", "addr", "add", "10.0.0.1/24", "dev", "wire0")
	netnstest.Run(t, r.host, "ip", "neigh", "replace", addr, "lladdr", mac, "dev", "wire0", "nud", "permanent")
	netnstest.Run(t, ns, "ip", "neigh", "add", "10.0.0.8", "lladdr", "02:00:00:00:00:08", "dev", "eth0")
	rounds, stop := r.keepTalking(addr)
	defer stop()
	r.until("the peer to reach the first container", func() bool { return r.pinged(ns) > 0 })
	r.engine.die(id(1))
	r.engine.remove(id(1))
	if spare := r.spare(); spare.ID != first.NIC || spare.Tenant != nic.DefaultTenant {
		t.Fatalf("spare is %+v, want %s", spare, first.NIC)
	}

	ns = r.engine.run(t, id(2), others)
	second := r.bound(id(2))
	if second.Tenant != "other" || second.NIC == first.NIC || second.Identity.MAC == first.Identity.MAC {
		t.Fatalf("the other tenant has %+v, the last had %+v", second, first)
	}
	if got := second.Identity.Addrs[0].Addr().String(); got != addr {
		t.Fatalf("the other tenant has %s and not %s: the test shows less than it should", got, addr)
	}
	since := rounds()
	r.until("the peer to have talked for a while", func() bool { return rounds() > since+20 })
	if n := r.pinged(ns); n != 0 {
		t.Errorf("the other tenant's container got %d packets that were for the last", n)
	}
	if known := netnstest.Run(t, ns, "ip", "neigh", "show", "dev", "eth0"); strings.Contains(known, "10.0.0.8") {
		t.Errorf("it knows neighbours of the last: %s", known)
	}
	port := second.NIC.LinkName("nf")
	for line := range strings.Lines(netnstest.Run(t, r.host, "bridge", "fdb", "show", "br", "nf-test")) {
		if strings.Contains(line, port) && strings.Contains(line, mac) {
			t.Errorf("the switch has the last's MAC at its port: %s", line)
		}
	}

	ns = r.engine.run(t, id(3), own)
	if third := r.bound(id(3)); third.NIC != first.NIC || third.Identity.MAC != first.Identity.MAC {
		t.Fatalf("the next of the same tenant has %+v, want %s", third, first.NIC)
	}
	netnstest.Run(t, ns, "ip", "addr", "add", addr+"/32", "dev", "eth0") // the kernel counts what is for an address of its own
	r.until("the peer to reach who has the old MAC", func() bool { return r.pinged(ns) > 0 })
}

// keepTalking sends packets to the address until stop, which waits for the end.
// rounds says how many have been sent.
func (r *rig) keepTalking(addr string) (rounds func() int, stop func()) {
	var mu sync.Mutex
	n, over := 0, false
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			netnstest.Run(r.t, r.host, "sh", "-c", "ping -q -c 1 -W 0.02 "+addr+" >/dev/null || [ $? = 1 ]") // 1: no answer
			mu.Lock()
			n++
			end := over
			mu.Unlock()
			if end {
				return
			}
		}
	})
	rounds = func() int { mu.Lock(); defer mu.Unlock(); return n }
	return rounds, func() { mu.Lock(); over = true; mu.Unlock(); wg.Wait() }
}
