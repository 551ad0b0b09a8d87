//go:build linux

package announce

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// quick is the optimistic timing with short retries, brief strict RFC 5227 in
// a hurry.
func quick() *Timing {
	t := TimingOf(nic.ProbeOptimistic)
	t.Watch, t.RetryFirst, t.RetryMax, t.Ask = 500*time.Millisecond, 200*time.Millisecond, 400*time.Millisecond, 200*time.Millisecond
	return &t
}

func brief() *Timing {
	t := quick()
	t.First, t.Min, t.Max, t.Settle = 50*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
	return t
}

// A world is a bridge, and at its ports our container with nic0 and a peer's
// with nic1.
type world struct {
	t                  *testing.T
	bridge, ours, peer *netns.Namespace
	index              int
	listener           *Listener
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, bridge: netnstest.New(t), ours: netnstest.New(t), peer: netnstest.New(t), listener: NewListener()}
	ip(t, w.bridge, "link add br0 type bridge", "link set br0 up",
		"link add port0 type veth peer name nic0 netns "+path(w.ours),
		"link add port1 type veth peer name nic1 netns "+path(w.peer),
		"link set port0 master br0 up", "link set port1 master br0 up")
	hurry(t, w.ours, "nic0")
	hurry(t, w.peer, "nic1")
	ip(t, w.ours, "link set nic0 address "+ourMAC.String()+" up")
	ip(t, w.peer, "link set nic1 address "+otherMAC.String()+" up")
	awaitRunning(t, w.ours, "nic0")
	awaitRunning(t, w.peer, "nic1")
	awaitRunning(t, w.bridge, "port0")
	awaitRunning(t, w.bridge, "port1")
	w.index = interfaceOf(t, w.ours, "nic0").Index
	return w
}

// hurry shortens the kernel's own check of IPv6 addresses, of up to two seconds.
func hurry(t *testing.T, ns *netns.Namespace, name string) {
	t.Helper()
	if err := errors.Join(ns.SetSysctl("0", "ipv6", "conf", name, "router_solicitation_delay"),
		ns.SetSysctl("100", "ipv6", "neigh", name, "retrans_time_ms")); err != nil {
		t.Fatal(err)
	}
}

// until waits for the kernel to show what is expected of it.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for late := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("no %s after a minute", what)
		}
	}
}

func awaitRunning(t *testing.T, ns *netns.Namespace, name string) {
	t.Helper()
	until(t, "carrier of "+name, func() bool { return interfaceOf(t, ns, name).Flags&net.FlagRunning != 0 })
}

func interfaceOf(t *testing.T, ns *netns.Namespace, name string) (i *net.Interface) {
	t.Helper()
	err := ns.Do(func() (err error) {
		i, err = net.InterfaceByName(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// ip runs commands of ip inside ns, in one process.
func ip(t *testing.T, ns *netns.Namespace, lines ...string) {
	t.Helper()
	file := t.TempDir() + "/batch"
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	netnstest.Run(t, ns, "ip", "-batch", file)
}

func path(ns *netns.Namespace) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.FD()) }

// An agent is a watcher on nic0 whose loop puts usable addresses there.
type agent struct {
	*Watcher
	w     *world
	links *link.Handle
	addrs []netip.Prefix
	wake  chan struct{}
}

func (w *world) watch(o Options) *agent {
	w.t.Helper()
	links, err := link.Open(w.ours)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(links.Close)
	a := &agent{w: w, links: links, addrs: o.Addrs, wake: make(chan struct{}, 1)}
	o.MAC = ourMAC
	o.Open = func() (Wire, error) { return w.listener.Open(w.ours, w.index) }
	o.Wake = func() {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
	if a.Watcher, err = Start(o); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { stop(w.t, a.Watcher) })
	a.apply()
	return a
}

// apply is what the agent's loop does with a NIC.
func (a *agent) apply() {
	a.w.t.Helper()
	l, err := a.links.ByIndex(a.w.index)
	if err != nil {
		a.w.t.Fatal(err)
	}
	usable := map[netip.Prefix]bool{}
	for _, p := range a.State().Usable(a.addrs) {
		usable[p] = true
	}
	for _, p := range a.addrs {
		change := a.links.DelAddr
		if usable[p] {
			change = a.links.AddAddr
		}
		if err := change(l, p); err != nil {
			a.w.t.Fatal(err)
		}
	}
	a.Applied()
}

// await returns the state when it is as wanted, and does the loop's part
// until then.
func (a *agent) await(what string, ok func(State) bool) State {
	a.w.t.Helper()
	late := time.After(time.Minute)
	for {
		if s := a.State(); ok(s) {
			return s
		}
		select {
		case <-a.wake:
			a.apply()
		case <-late:
			a.w.t.Fatalf("no %s after a minute: %+v", what, a.State())
		}
	}
}

func (a *agent) has(addr netip.Addr) bool {
	return strings.Contains(netnstest.Run(a.w.t, a.w.ours, "ip", "-o", "addr", "show", "nic0"), " "+addr.String()+"/")
}

// F63: a second namespace has the address; the kernel is what answers.
func TestF63_ConflictOnTheWire(t *testing.T) {
	for mode, timing := range map[nic.Probe]*Timing{nic.ProbeOptimistic: quick(), nic.ProbeStrict: brief()} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ip(t, w.peer, "addr add "+addr4.String()+" dev nic1")
			a := w.watch(Options{Addrs: []netip.Prefix{addr4}, Mode: mode, Timing: timing})
			if mode == nic.ProbeStrict && a.has(addr4.Addr()) {
				t.Error("on the NIC before it is probed")
			}
			s := a.await("conflict", func(s State) bool { return len(s.Conflicts) == 1 })
			a.apply()
			if s.Conflicts[addr4.Addr()].MAC != otherMAC || a.has(addr4.Addr()) {
				t.Errorf("state %+v, on the NIC: %t; want a conflict with %s", s, a.has(addr4.Addr()), otherMAC)
			}
			ip(t, w.peer, "addr del "+addr4.String()+" dev nic1")
			a.await("address", func(s State) bool { return len(s.Conflicts) == 0 })
			a.apply()
			if !a.has(addr4.Addr()) {
				t.Error("the address is free and not on the NIC")
			}
		})
	}
}

func TestF63_IPv6ConflictOnTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ip(t, w.peer, "addr add "+addr6.String()+" dev nic1 nodad")
	a := w.watch(Options{Addrs: []netip.Prefix{addr6}, Timing: quick()})
	a.await("conflict", func(s State) bool { return s.Conflicts[addr6.Addr()].MAC == otherMAC })
	a.apply()
	if a.has(addr6.Addr()) {
		t.Error("the address of another host is on the NIC")
	}
	ip(t, w.peer, "addr del "+addr6.String()+" dev nic1")
	a.await("address", func(s State) bool { return len(s.Conflicts) == 0 })
}

// Our own frames come back from a port in hairpin mode; nobody else is there.
// The gateway is found, by kernels' answers.
func TestNoConflictOnTheWire(t *testing.T) {
	for mode, timing := range map[nic.Probe]*Timing{nic.ProbeOptimistic: quick(), nic.ProbeStrict: brief()} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			netnstest.Run(t, w.bridge, "bridge", "link", "set", "dev", "port0", "hairpin", "on")
			ip(t, w.peer, "addr add 10.0.0.1/24 dev nic1", "addr add fe80::1/64 dev nic1 nodad")
			gone4, gone6 := netip.MustParseAddr("10.0.0.99"), netip.MustParseAddr("fe80::99")
			a := w.watch(Options{
				Addrs: []netip.Prefix{addr4, addr6}, Gateways: []netip.Addr{gw4, gone4, gw6, gone6}, Mode: mode, Timing: timing,
			})
			s := a.await("verdict on the gateways", func(s State) bool {
				return slices.Equal(s.GatewaysMissing, []netip.Addr{gone4, gone6})
			})
			if len(s.Conflicts) != 0 || !s.Checked() {
				t.Errorf("state %+v, want no conflict", s)
			}
		})
	}
}

// F61: peers that have another MAC for the address learn ours.
func TestF61_AnnouncementUpdatesNeighbours(t *testing.T) {
	for name, test := range map[string]struct {
		addr    netip.Prefix
		replies bool
	}{
		"ARP request":   {addr4, false},
		"and reply":     {addr4, true},
		"advertisement": {addr6, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ip(t, w.peer, "addr add 10.0.0.2/24 dev nic1", "addr add 2001:db8::2/64 dev nic1 nodad")
			// The kernel's neighbour table is one for all namespaces, and may be
			// full for a moment.
			until(t, "room in the neighbour table", func() bool {
				return w.peer.Do(exec.Command("ip", "neigh", "replace", test.addr.Addr().String(),
					"lladdr", gwMAC.String(), "dev", "nic1", "nud", "reachable").Run) == nil
			})
			w.watch(Options{Addrs: []netip.Prefix{test.addr}, Timing: quick(), Replies: test.replies})
			until(t, "update of the neighbour table", func() bool {
				return strings.Contains(netnstest.Run(t, w.peer, "ip", "neigh", "show", "to", test.addr.Addr().String()), ourMAC.String())
			})
		})
	}
}

// L32: what a peer hears of a silent NIC, and of one that is not.
func TestWhatThePeerHears(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		want    map[string]int
	}{
		"silent, no probe": {Options{Silent: true, Mode: nic.ProbeOff}, map[string]int{}},
		"silent":           {Options{Silent: true}, map[string]int{"probe 10.0.0.5": 3}},
		"off":              {Options{Mode: nic.ProbeOff}, map[string]int{"tell 10.0.0.5": 3, "tell 2001:db8::5": 3}},
		"replies":          {Options{Replies: true}, map[string]int{"probe 10.0.0.5": 3, "tell 10.0.0.5": 6, "tell 2001:db8::5": 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ear, err := w.listener.Open(w.peer, interfaceOf(t, w.peer, "nic1").Index)
			if err != nil {
				t.Fatal(err)
			}
			defer ear.Close()
			o := test.options
			o.Addrs, o.Timing = []netip.Prefix{addr4, addr6}, quick()
			a := w.watch(o)
			got := map[string]int{}
			buf := make([]byte, maxFrame)
			listen := func(d time.Duration, enough func() bool) {
				if err := ear.SetReadDeadline(time.Now().Add(d)); err != nil {
					t.Fatal(err)
				}
				for !enough() {
					n, err := ear.Receive(buf)
					if err != nil {
						return
					}
					word, ok := hear(buf[:n], otherMAC)
					if k := kind(buf[:n]); ok && !(word.addr.Is6() && word.wants) { // the kernel's own check
						got[k]++
					}
				}
			}
			// The last notice leaves 1.4 s after the start, or later on a busy machine.
			// What comes then is too much.
			listen(30*time.Second, func() bool { return maps.Equal(got, test.want) })
			listen(2*time.Second, func() bool { return false })
			if !maps.Equal(got, test.want) {
				t.Errorf("heard %v, want %v; state %+v", got, test.want, a.State())
			}
		})
	}
}

// Frames of another network, and those that the container itself sends, say
// nothing of our address.
func TestOnlyOthersOnThisNetworkCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heard, err := w.listener.Open(w.ours, w.index)
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	inside, err := w.listener.Open(w.ours, w.index)
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	outside, err := w.listener.Open(w.peer, interfaceOf(t, w.peer, "nic1").Index)
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	claim := must(noticeFrame(otherMAC, addr4.Addr()))
	tagged := func(vlan byte) []byte {
		return slices.Concat(claim[:12], []byte{0x81, 0, 0, vlan}, claim[12:])
	}
	last := must(noticeFrame(otherMAC, gw4))
	for _, f := range []struct {
		wire  Wire
		frame []byte
	}{{inside, claim}, {outside, tagged(5)}, {outside, patch(claim, 13, 0)}, {outside, tagged(0)}, {outside, last}} {
		if err := f.wire.Send(f.frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := heard.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for buf := make([]byte, maxFrame); len(got) == 0 || got[len(got)-1] != kind(last); {
		n, err := heard.Receive(buf)
		if err != nil {
			t.Fatal(err)
		}
		if word, ok := hear(buf[:n], ourMAC); ok && word.addr.Is4() {
			got = append(got, kind(buf[:n]))
		}
	}
	if want := []string{"tell 10.0.0.5", "tell 10.0.0.1"}; !slices.Equal(got, want) { // the first is that of VLAN 0, which is none
		t.Errorf("heard %q, want %q", got, want)
	}
}
