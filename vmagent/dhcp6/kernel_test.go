//go:build linux

package dhcp6

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/lease"
	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
)

const claimDUID = "00:04:30:c5:d7:bd:c6:cc:85:d8:a0:45:e6:ef:f3:9f:d6:63" // claim, as a server writes it

// newWire is a wire with IPv6. Without dad the kernel does not check addresses
// for duplicates, which takes one to two seconds on a wire in ordinary use.
func newWire(t *testing.T, dad bool) leasetest.Wire {
	t.Helper()
	w := leasetest.NewWire(t, nic.MAC{0x02, 0, 0x5e, 0x10, 0, 1}, "10.77.0.1/16")
	leasetest.IP(t, w.Client, "link set nic0 down")
	for _, scope := range []string{"lan0", "nic0"} {
		ns := w.Server
		if scope == "nic0" {
			ns = w.Client
		}
		if dad && scope == "nic0" { // for a second longer, so that it is seen to go on
			if err := ns.SetSysctl("2", "ipv6", "conf", scope, "dad_transmits"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := ns.SetSysctl("0", "ipv6", "conf", scope, "accept_dad"); err != nil {
			t.Fatal(err)
		}
	}
	leasetest.IP(t, w.Server, "link set lan0 down", "link set lan0 up", "addr add fd00:77::1/64 dev lan0")
	leasetest.IP(t, w.Client, "link set nic0 up")
	leasetest.AwaitRunning(t, w.Server, "lan0")
	return w
}

// inBubble starts a keeper on the wire's real NIC with a clock that jumps to
// the next thing to do. It stands still while an answer is waited for, because
// that comes from outside: an answer that never comes would hang the test.
func inBubble(t *testing.T, w leasetest.Wire, listener *Listener, was *Lease) *Keeper {
	t.Helper()
	k, err := Start(options(t, w, listener, was))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Stop(context.Background(), false); err != nil {
			t.Error(err)
		}
	})
	return k
}

func options(t *testing.T, w leasetest.Wire, listener *Listener, was *Lease) Options {
	index := leasetest.Interfaces(t, w.Client)["nic0"].Index
	return Options{
		Listen: func() (Conn, error) { return listener.Listen(w.Client, index) },
		DUID:   ClaimDUID(claim), IAID: InterfaceIAID("eth0"), Lease: was,
	}
}

// F57 at a real server: a whole life, from the first message to the last. It
// takes every chance of rapid commit.
func TestF57_RealServer(t *testing.T) {
	t.Parallel()
	w, listener := newWire(t, false), NewListener()
	d := leasetest.StartDnsmasq(t, w.Server, "--dhcp-range=fd00:77::100,fd00:77::1ff,64,2m",
		"--dhcp-option=option6:dns-server,[fd00:77::53]", "--dhcp-option=option6:domain-search,lab.example")
	awaitLinkLocal(t, w)
	synctest.Test(t, func(t *testing.T) {
		k := inBubble(t, w, listener, nil)
		first := awaitLease(t, k, time.Time{})
		if !netip.MustParsePrefix("fd00:77::/64").Contains(first.Addr.Addr()) || len(first.DNS) != 1 || len(first.Search) != 1 || len(first.Notes) != 0 {
			t.Errorf("lease %+v", first)
		}
		d.Await("DHCPREPLY(lan0) "+first.Addr.Addr().String()+" "+claimDUID, 1)
		was := awaitLease(t, k, first.Acquired)
		d.Await("DHCPRENEW(", 1)
		restart := func(change func()) {
			if err := k.Stop(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			was = k.State().Lease
			change()
			k = inBubble(t, w, listener, &was)
			was = awaitLease(t, k, was.Acquired)
			if was.Addr != first.Addr {
				t.Errorf("address %s became %s", first.Addr, was.Addr)
			}
		}
		restart(func() { was.T2 = was.T1 })
		d.Await("DHCPREBIND(", 1)
		restart(func() { time.Sleep(time.Until(was.T1.Add(time.Second))) })
		d.Await("DHCPCONFIRM(", 1)
		d.Await("DHCPRENEW(", 2)
		if err := k.Stop(t.Context(), true); err != nil {
			t.Error(err)
		}
		d.Await("DHCPRELEASE(", 1)
		if d.Count("DHCPSOLICIT(") != 1 || d.Count("DHCPREQUEST(") != 0 {
			t.Errorf("%d SOLICITs and %d REQUESTs, want the first only", d.Count("DHCPSOLICIT("), d.Count("DHCPREQUEST("))
		}
	})
	d.End()
	if list := d.Clients(); len(list) != 0 {
		t.Errorf("lease file after release %q, want none", list)
	}
}

// awaitLease returns when the keeper is bound to a lease acquired after t0.
func awaitLease(t *testing.T, k *Keeper, t0 time.Time) Lease {
	t.Helper()
	for range 200 { // seconds of the bubble
		after(time.Second)
		if s := k.State(); s.Bound && s.Lease.Acquired.After(t0) {
			return s.Lease
		}
	}
	t.Fatalf("no lease: %+v", k.State())
	return Lease{}
}

// A keeper that starts before the kernel has checked the link-local address
// waits for it.
func TestWaitsForTheKernelsCheck(t *testing.T) {
	t.Parallel()
	w, listener := newWire(t, true), NewListener()
	if _, err := listener.Listen(w.Client, leasetest.Interfaces(t, w.Client)["nic0"].Index); !errors.Is(err, lease.ErrNotReady) {
		t.Errorf("listen at once: %v, want not ready", err)
	}
	leasetest.StartDnsmasq(t, w.Server, "--dhcp-rapid-commit", "--dhcp-range=fd00:77::100,fd00:77::1ff,64,2m")
	bound := make(chan State, 16)
	o := options(t, w, listener, nil)
	var k *Keeper
	ready := make(chan struct{})
	o.Wake = func() {
		<-ready
		bound <- k.State()
	}
	began := time.Now()
	k, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	close(ready)
	defer func() {
		if err := k.Stop(context.Background(), true); err != nil {
			t.Error(err)
		}
	}()
	late := time.After(time.Minute)
	for {
		select {
		case s := <-bound:
			if s.Bound {
				return
			}
			if time.Since(began) < 5*time.Second { // after that it is trouble, on a busy machine
				t.Errorf("state %+v, want a lease without trouble before", s)
			}
		case <-late:
			t.Fatalf("no lease in a minute: %+v", k.State())
		}
	}
}

func TestListenNeedsIPv6(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	leasetest.IP(t, ns, "link add nic0 type bridge")
	if err := ns.SetSysctl("1", "ipv6", "conf", "nic0", "disable_ipv6"); err != nil {
		t.Fatal(err)
	}
	leasetest.IP(t, ns, "link set nic0 up")
	_, err := NewListener().Listen(ns, leasetest.Interfaces(t, ns)["nic0"].Index)
	if !errors.Is(err, lease.ErrNotReady) || !strings.Contains(err.Error(), "IPv6") {
		t.Errorf("got %v, want a hint at IPv6", err)
	}
}

func TestReadyLinkLocal(t *testing.T) {
	const addr = "fe8000000000000000005efffe100001"
	for line, want := range map[string]bool{
		addr + " 07 40 20 80     nic0":                      true,
		addr + " 07 40 20 44     nic0":                      true,  // optimistic
		addr + " 07 40 20 c0     nic0":                      false, // tentative
		addr + " 07 40 20 88     nic0":                      false, // a duplicate
		addr + " 08 40 20 80     nic0":                      false, // another link
		"fd000077000000000000000000000100 07 80 00 80 nic0": false,
		addr + " 07 40 20 80":                               false, "": false, "x 07 40 20 80 nic0": false,
	} {
		if got, ok := readyLinkLocal(line, 7); ok != want || ok && got != netip.MustParseAddr("fe80::5eff:fe10:1") {
			t.Errorf("%q: %s, %t, want %t", line, got, ok, want)
		}
	}
}

// awaitLinkLocal returns when nic0 can carry messages.
func awaitLinkLocal(t *testing.T, w leasetest.Wire) {
	t.Helper()
	index := leasetest.Interfaces(t, w.Client)["nic0"].Index
	for late := time.Now().Add(time.Minute); time.Now().Before(late); time.Sleep(time.Millisecond) {
		conn, err := NewListener().Listen(w.Client, index)
		if err == nil {
			conn.Close()
			return
		}
	}
	t.Fatal("no link-local address after 15 s")
}
