//go:build linux

package device

import (
	"errors"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// Two containers share a plugged NIC. A kernel without ipvlan refuses in words and
// is left as it was; suite vm has a kernel with it.
func TestSeatsComeAndGo(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	first, d := seat(nic.NewMAC())
	second, _ := seat(d.MAC)
	d.MTU = 1500
	plug(t, host, d.MAC)
	before := hostState(t, host)
	if err := m.Ensure(t.Context(), first, d); errors.Is(err, link.ErrUnsupported) {
		if !strings.Contains(err.Error(), "need ipvlan: install the node's kernel modules") {
			t.Errorf("refused with: %v", err)
		}
		if after := hostState(t, host); after != before {
			t.Errorf("refused, and the host went from:\n%s\nto:\n%s", before, after)
		}
		t.Log("this kernel has no ipvlan")
		return
	}
	for range 2 {
		must(t, m.Ensure(t.Context(), first, d))
		must(t, m.Ensure(t.Context(), second, d))
	}
	for _, id := range []nic.ID{first, second} {
		l := byName(t, m, id.LinkName("nt"))
		if l.Kind != link.KindIpvlan || l.MAC != d.MAC || l.MTU != 1500 || l.Alias != string(id) || l.Up {
			t.Errorf("seat is %+v", l)
		}
		clean, err := m.Clean(id, d)
		if err != nil || clean.MAC != l.MAC || clean.MTU != l.MTU || *clean.Alias != l.Alias || clean.Name != l.Name {
			t.Errorf("a clean seat is %+v, %v; made was %+v", clean, err, l)
		}
	}
	h, err := link.Open(container(t))
	must(t, err)
	defer h.Close()
	l := byName(t, m, first.LinkName("nt"))
	moved, err := m.host.Move(l, h, link.Change{Name: "eth0", Up: new(true)})
	must(t, err)
	// A container renames it, takes the mark off, and makes another one beside it.
	must(t, h.Set(moved, link.Change{Name: "mine", Alias: new("nothing")}))
	netnstest.Run(t, h.Namespace(), "ip", "link", "add", "link", "mine", "name", "eth0", "type", "ipvlan", "mode", "l2")
	must(t, m.Ensure(t.Context(), first, d, h.Namespace()))
	absent(t, m, first.LinkName("nt"))
	at, found, err := m.Locate(t.Context(), first, d, h.Namespace())
	if err != nil || !found || at.Home || at.Link.Name != "mine" {
		t.Errorf("locate: got %+v, %t, %v; want mine", at, found, err)
	}
	must(t, h.Set(at.Link, link.Change{Alias: new(string(first))}))
	must(t, m.DropSiblings(t.Context(), d, h.Namespace()))
	if links, err := h.Links(); err != nil || len(links) != 2 {
		t.Errorf("in the container: %+v, %v; want lo and the seat", links, err)
	}
	for range 2 {
		must(t, m.Remove(t.Context(), second, d))
	}
	if l := byName(t, m, "ens7"); !l.Up {
		t.Errorf("with a seat left its NIC is %+v", l)
	}
	for range 2 {
		must(t, m.Remove(t.Context(), first, d, h.Namespace()))
	}
	if after := hostState(t, host); after != before {
		t.Errorf("host before:\n%s\nafter:\n%s", before, after)
	}
}

// An ipvlan on a card that the host itself goes by leaves that as it is, also with the
// last one. Made or refused, the host is in the end as it was.
func TestAnIpvlanOnTheHostsOwn(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	netnstest.Run(t, host, "ip", "link", "add", "ens1f0", "type", "veth", "peer", "name", "wire")
	l := byName(t, m, "ens1f0")
	id, d := nic.NewID(), nic.Device{Kind: nic.Ipvlan, Parent: "ens1f0", MAC: l.MAC}
	if err := m.Ensure(t.Context(), id, d); err == nil || !strings.Contains(err.Error(), `"ens1f0" is down: set it up`) {
		t.Errorf("on one that is down: %v", err)
	}
	netnstest.Run(t, host, "ip", "link", "set", "ens1f0", "up", "alias", "uplink")
	netnstest.Run(t, host, "ip", "addr", "add", "192.0.2.1/24", "dev", "ens1f0")
	before := netnstest.Run(t, host, "ip", "-d", "addr")
	err := m.Ensure(t.Context(), id, d)
	if !errors.Is(err, link.ErrUnsupported) {
		must(t, err)
		if made := byName(t, m, id.LinkName("nt")); made.Kind != link.KindIpvlan || made.MAC != l.MAC {
			t.Errorf("made %+v", made)
		}
		must(t, m.Remove(t.Context(), id, d))
	} else if !strings.Contains(err.Error(), "out of the network's fallback") {
		t.Errorf("refused with: %v", err)
	}
	if after := netnstest.Run(t, host, "ip", "-d", "addr"); after != before {
		t.Errorf("the host went from:\n%s\nto:\n%s", before, after)
	}
	d.Parent = "gone"
	if err := m.Ensure(t.Context(), id, d); err == nil || !strings.Contains(err.Error(), `"gone" does not exist`) {
		t.Errorf("on one that is not there: %v", err)
	}
	must(t, m.Remove(t.Context(), id, d))
}

// What keeps a card from one more kind of link is told in words, not as "device or
// resource busy": here that it is a bridge's port, and on kernels with ipvlan that it
// carries the other kind.
func TestACardThatCarriesAnotherKind(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	netnstest.Run(t, host, "ip", "link", "add", "ens1f0", "up", "type", "veth", "peer", "name", "wire")
	mac := byName(t, m, "ens1f0").MAC
	macvlan := func() nic.Device { return nic.Device{Kind: nic.Macvlan, Parent: "ens1f0", MAC: nic.NewMAC()} }
	ipvlan := nic.Device{Kind: nic.Ipvlan, Parent: "ens1f0", MAC: mac}
	id := nic.NewID()
	err := m.Ensure(t.Context(), id, ipvlan)
	known := !errors.Is(err, link.ErrUnsupported)
	refused := func(d nic.Device, want string) {
		t.Helper()
		err := m.Ensure(t.Context(), nic.NewID(), d)
		if !errors.Is(err, link.ErrBusy) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"ens1f0"`) {
			t.Errorf("a second kind: %v; want %q", err, want)
		}
	}
	if known {
		must(t, err)
		refused(macvlan(), "carries ipvlans")
		must(t, m.Remove(t.Context(), id, ipvlan))
	}
	d := macvlan()
	must(t, m.Ensure(t.Context(), id, d))
	if known {
		refused(ipvlan, "carries macvlans")
	}
	must(t, m.Remove(t.Context(), id, d))
	netnstest.Run(t, host, "ip", "link", "add", "br0", "type", "bridge")
	netnstest.Run(t, host, "ip", "link", "set", "ens1f0", "master", "br0")
	refused(macvlan(), "port of a bridge")
}
