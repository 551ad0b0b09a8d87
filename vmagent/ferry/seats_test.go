//go:build linux

package ferry

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// A sharer is a container with a seat on a NIC that others have seats on too.
type sharer struct {
	made
	ns   *netns.Namespace
	addr string
	l3   nic.Layer3
}

// cloudWire plugs a NIC in as ens7, with a cloud at its other end: the router, a far
// client and the metadata service.
func (w *world) cloudWire(mac nic.MAC) (cloud *netns.Namespace) {
	w.Helper()
	cloud = netnstest.New(w.T)
	w.run(cloud, "link", "add", "cloud7", "mtu", "9001", "type", "veth", "peer", "name", "ens7", "mtu", "9001",
		"address", mac.String(), "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), w.host.FD()))
	for _, addr := range []string{"10.0.1.1/24", "2001:db8:1::1/64", "fe80:ec2::1/64"} {
		w.run(cloud, "addr", "add", addr, "dev", "cloud7", "nodad")
	}
	for _, addr := range append([]string{"203.0.113.9", "2001:db8:9::9"}, allMetadata...) {
		w.run(cloud, "addr", "add", addr, "dev", "lo")
	}
	w.run(cloud, "link", "set", "cloud7", "up")
	return cloud
}

// sharer makes container n, which has a process of its own as all that run have.
func (w *world) sharer(mac nic.MAC, n int) sharer {
	w.Helper()
	s := sharer{made{nic.NewID(), nic.Device{Kind: nic.Ipvlan, MAC: mac, MTU: 1500}}, container(w.T), fmt.Sprintf("10.0.1.%d", n), nic.Layer3{}}
	w.ok(s.ns.SetSysctl("0", "ipv6", "conf", "default", "dad_transmits"))
	s.l3 = withDefault(layer3(s.addr+"/24", fmt.Sprintf("2001:db8:1::%d/64", n)), "10.0.1.1", "fe80:ec2::1")
	s.l3.IPv6, s.l3.SourceRoutes = true, true
	process := exec.Command("sleep", "600")
	w.ok(s.ns.Do(process.Start))
	w.Cleanup(func() {
		_ = process.Process.Kill() // its end is the test's
		_ = process.Wait()
	})
	return s
}

// enter brings the seat in and addresses it.
func (w *world) enter(s sharer) link.Link {
	w.Helper()
	l, err := w.ferry.In(w.Context(), s.id, s.d, s.ns, NewEntry("eth0", s.l3, false))
	w.ok(err)
	// It came with the host's setting, and would be tentative for a second.
	w.ok(s.ns.SetSysctl("0", "ipv6", "conf", "eth0", "accept_dad"))
	w.ok(w.ferry.Apply(w.Context(), s.ns, l.Index, s.l3))
	return l
}

// talks checks that a sharer is reached from afar and that the metadata service is
// not reached from it.
func (w *world) talks(when string, s sharer, cloud *netns.Namespace) {
	w.Helper()
	for _, p := range s.l3.Addrs {
		far := map[bool]string{true: "203.0.113.9", false: "2001:db8:9::9"}[p.Addr().Is4()]
		netnstest.Run(w.T, cloud, "ping", "-c", "1", "-W", "5", "-I", far, p.Addr().String())
	}
	for _, to := range allMetadata {
		w.ok(s.ns.Do(func() error {
			if exec.Command("ping", "-c", "1", "-W", "0.3", "-I", "eth0", to).Run() == nil {
				w.Errorf("%s: %s answers %s", when, to, s.addr)
			}
			return nil
		}))
	}
}

// Two containers on one NIC, each with addresses of its own: both are reached under
// the NIC's MAC, they reach each other, none can take the other's address, and one
// goes without the other's noticing. A kernel without ipvlan says so; suite vm has
// one with it.
func TestSeatsCarryTraffic(t *testing.T) {
	t.Parallel()
	w, mac := newWorld(t), nic.NewMAC()
	cloud := w.cloudWire(mac)
	one, two := w.sharer(mac, 21), w.sharer(mac, 22)
	rules := w.run(w.host, "rule") + w.run(w.host, "-6", "rule")
	if err := w.maker.Ensure(t.Context(), one.id, one.d); errors.Is(err, link.ErrUnsupported) {
		t.Log("this kernel has no ipvlan")
		return
	}
	w.ok(w.maker.Ensure(t.Context(), two.id, two.d))
	var links []link.Link
	for _, s := range []sharer{one, two} {
		for range 2 {
			l := w.enter(s)
			if l.MAC != mac || l.MTU != 1500 {
				t.Errorf("%s has %+v", s.addr, l)
			}
			links = append(links, l)
		}
	}
	w.talks("both are in", one, cloud)
	w.talks("both are in", two, cloud)
	netnstest.Run(t, one.ns, "ping", "-c", "1", "-W", "5", two.addr)
	if out := w.run(cloud, "neigh", "show", two.addr); !strings.Contains(out, mac.String()) {
		t.Errorf("%s is at %s, want %s", two.addr, out, mac)
	}
	thief := two.l3
	thief.Addrs = append(layer3(one.addr+"/24").Addrs, thief.Addrs...)
	if err := w.ferry.Apply(t.Context(), two.ns, links[3].Index, thief); err == nil {
		t.Error("both have one address")
	}
	w.ok(w.ferry.Apply(t.Context(), two.ns, links[3].Index, two.l3))
	w.ok(w.ferry.Out(t.Context(), one.id, one.d, one.ns))
	w.clean(one.made, 1500)
	w.ok(w.maker.Remove(t.Context(), one.id, one.d))
	w.talks("one has gone", two, cloud)
	if out := w.run(w.host, "addr", "show", "dev", "ens7"); strings.Contains(out, "inet") || !strings.Contains(out, ",UP") {
		t.Errorf("the NIC that is shared is:\n%s", out)
	}
	// The address goes to another seat, as on a move between containers.
	three := w.sharer(mac, 21)
	w.ok(w.maker.Ensure(t.Context(), three.id, three.d))
	w.enter(three)
	w.talks("the address has a new holder", three, cloud)
	for _, s := range []sharer{two, three} {
		w.ok(w.ferry.Out(t.Context(), s.id, s.d, s.ns))
		w.ok(w.maker.Remove(t.Context(), s.id, s.d))
	}
	if out := w.run(w.host, "link", "show", "dev", "ens7"); strings.Contains(out, ",UP") || strings.Contains(out, "nicferry") {
		t.Errorf("the NIC that nobody shares any more is:\n%s", out)
	}
	if after := w.run(w.host, "rule") + w.run(w.host, "-6", "rule"); after != rules {
		t.Errorf("the host's rules before:\n%s\nafter:\n%s", rules, after)
	}
}
