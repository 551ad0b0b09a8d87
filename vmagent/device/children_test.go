//go:build linux

package device

import (
	"errors"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// newMacvlan makes a macvlan on parent0 and carries it into a container.
func newMacvlan(t *testing.T, host, inside *netns.Namespace, m *Maker, name string) (nic.ID, nic.Device) {
	t.Helper()
	if _, err := m.host.ByName("parent0"); errors.Is(err, link.ErrNotFound) {
		netnstest.Run(t, host, "ip", "link", "add", "parent0", "up", "type", "veth", "peer", "name", "wire0")
	}
	id, d := nic.NewID(), nic.Device{Kind: nic.Macvlan, MAC: nic.NewMAC(), Parent: "parent0"}
	must(t, m.Ensure(t.Context(), id, d))
	h, err := link.Open(inside)
	must(t, err)
	defer h.Close()
	_, err = m.host.Move(byName(t, m, id.LinkName("nt")), h, link.Change{Name: name, Up: new(true)})
	must(t, err)
	return id, d
}

// S12: a container changes all that it can of a macvlan, and makes others that
// look like it.
func TestS12_MacvlanInDisguise(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	inside := netnstest.New(t)
	id, d := newMacvlan(t, host, inside, m, "eth0")
	other, _ := newMacvlan(t, host, inside, m, "eth1")
	for _, args := range [][]string{
		{"link", "set", "eth0", "name", "mine", "alias", "nothing", "address", "02:66:66:66:66:66"},
		{"link", "add", "eth0", "link", "mine", "type", "macvlan", "mode", "bridge"},
		{"link", "set", "eth0", "alias", string(id), "address", d.MAC.String()},
		{"link", "add", "tap0", "link", "mine", "type", "macvtap", "mode", "bridge"},
		{"link", "set", "tap0", "alias", string(other)},
	} {
		netnstest.Run(t, inside, "ip", args...)
	}
	at, found, err := m.Locate(t.Context(), id, d, inside)
	if err != nil || !found || at.Link.Name != "mine" {
		t.Errorf("located %+v, %t, %v; want mine", at.Link, found, err)
	}
	for range 2 {
		must(t, m.DropSiblings(t.Context(), d, inside))
	}
	h, err := link.Open(inside)
	must(t, err)
	defer h.Close()
	links, err := h.Links()
	must(t, err)
	var names []string
	for _, l := range links {
		if !l.Loopback {
			names = append(names, l.Name)
		}
	}
	if len(names) != 1 || names[0] != "eth1" { // the disguised one goes too: it lost its mark
		t.Errorf("left in the container: %q, want eth1", names)
	}
}

// Two ids of one index are no reason to fail.
func TestMacvlanWhoseIndexIsTaken(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	netnstest.Run(t, host, "ip", "link", "add", "parent0", "up", "type", "veth", "peer", "name", "wire0")
	id, d := nic.NewID(), nic.Device{Kind: nic.Macvlan, MAC: nic.NewMAC(), Parent: "parent0"}
	must(t, m.host.AddMacvlan(link.Macvlan{Name: "blocker", Parent: byName(t, m, "wire0").Index, Index: indexOf(id)}))
	for range 2 {
		must(t, m.Ensure(t.Context(), id, d))
	}
	at, found, err := m.Locate(t.Context(), id, d)
	if err != nil || !found || at.Link.Name != id.LinkName("nt") {
		t.Errorf("located %+v, %t, %v", at.Link, found, err)
	}
}

func TestRemakeReplacesAVethInHiding(t *testing.T) {
	t.Parallel()
	_, m := newMaker(t)
	id, d := veth(0)
	must(t, m.Remake(t.Context(), id, d)) // nothing there yet
	hidden := netnstest.New(t)
	h, err := link.Open(hidden)
	must(t, err)
	defer h.Close()
	bridge := byName(t, m, "nfbr0")
	_, err = m.host.Move(byName(t, m, id.LinkName("nt")), h, link.Change{Name: "eth0"})
	must(t, err)
	must(t, m.Remake(t.Context(), id, d))
	at, found, err := m.Locate(t.Context(), id, d)
	if err != nil || !found || !at.Home || at.Link.MAC != d.MAC {
		t.Errorf("remade NIC is %+v, %t, %v", at.Link, found, err)
	}
	if now := byName(t, m, "nfbr0"); now.Index != bridge.Index {
		t.Error("the bridge was made anew")
	}
	if links, err := h.Links(); err != nil || len(links) != 1 {
		t.Errorf("left in hiding: %+v, %v", links, err)
	}
}
