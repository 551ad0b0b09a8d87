//go:build linux

package ferry

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// trunkWire has the cloud's end of ens7 take what has one of the tags, and nothing else,
// into a switch. The router is the switch's own.
func (w *world) trunkWire(cloud *netns.Namespace, tags ...int) {
	w.Helper()
	w.run(cloud, "link", "add", "vpc0", "mtu", "9001", "type", "bridge")
	for _, tag := range tags {
		name := fmt.Sprintf("cloud7.%d", tag)
		w.run(cloud, "link", "add", "link", "cloud7", "name", name, "type", "vlan", "id", fmt.Sprint(tag))
		w.run(cloud, "link", "set", name, "master", "vpc0", "up")
	}
	w.run(cloud, "addr", "flush", "dev", "cloud7")
	for _, addr := range []string{"10.0.1.1/24", "2001:db8:1::1/64", "fe80:ec2::1/64"} {
		w.run(cloud, "addr", "add", addr, "dev", "vpc0", "nodad")
	}
	w.run(cloud, "link", "set", "vpc0", "up")
}

// Two containers with a VLAN each of one trunk: both are reached under MACs of their own,
// they reach each other over the cloud's switch, the metadata service answers neither, and
// one goes without the other's noticing. A kernel without VLANs says so; suite vm has one
// with them.
func TestMembersOfATrunkCarryTraffic(t *testing.T) {
	t.Parallel()
	w, trunk := newWorld(t), nic.NewMAC()
	one, two := w.sharer(trunk, 21), w.sharer(trunk, 22)
	one.d = nic.Device{Kind: nic.VLAN, MAC: nic.NewMAC(), Trunk: trunk, Tag: 5, MTU: 1500}
	two.d = nic.Device{Kind: nic.VLAN, MAC: nic.NewMAC(), Trunk: trunk, Tag: 6, MTU: 1500}
	cloud := w.cloudWire(trunk)
	if err := w.maker.Ensure(t.Context(), one.id, one.d); errors.Is(err, link.ErrUnsupported) {
		t.Log("this kernel has no VLANs")
		return
	}
	w.trunkWire(cloud, 5, 6)
	for _, s := range []sharer{one, two} {
		for range 2 {
			w.ok(w.maker.Ensure(t.Context(), s.id, s.d, s.ns))
			if l := w.enter(s); l.MAC != s.d.MAC || l.MTU != 1500 {
				t.Errorf("%s has %+v", s.addr, l)
			}
		}
	}
	w.talks("both are in", one, cloud)
	w.talks("both are in", two, cloud)
	netnstest.Run(t, one.ns, "ping", "-c", "1", "-W", "5", two.addr)
	if out := w.run(cloud, "neigh", "show", two.addr); !strings.Contains(out, two.d.MAC.String()) {
		t.Errorf("%s is at %s, want %s", two.addr, out, two.d.MAC)
	}
	w.ok(w.ferry.Out(t.Context(), one.id, one.d, one.ns))
	w.clean(one.made, 1500)
	w.ok(w.maker.Remove(t.Context(), one.id, one.d))
	w.talks("one has gone", two, cloud)
	if out := w.run(w.host, "addr", "show", "dev", "ens7"); strings.Contains(out, "inet") || !strings.Contains(out, ",UP") {
		t.Errorf("the trunk is:\n%s", out)
	}
	w.ok(w.ferry.Out(t.Context(), two.id, two.d, two.ns))
	w.ok(w.maker.Remove(t.Context(), two.id, two.d))
	if out := w.run(w.host, "link", "show", "dev", "ens7"); strings.Contains(out, ",UP") || strings.Contains(out, "nicferry") {
		t.Errorf("the trunk without members is:\n%s", out)
	}
}
