//go:build linux

package vmagent_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// A container that fell back to a macvlan gets a VF while it runs: the one goes, then
// the other comes, with the same MAC and addresses under the same name. Nothing of the
// first is left.
func TestAPromotedContainerGetsItsVFWhileItRuns(t *testing.T) {
	m := newCarded(t)
	netnstest.Run(t, m.host, "ip", "link", "add", "ens1f0", "type", "veth", "peer", "name", "wire")
	netnstest.Run(t, m.host, "ip", "link", "set", "wire", "up")
	netnstest.Run(t, m.host, "ip", "link", "set", "ens1f0", "up")
	before := m.links()
	w := onVF(1)
	fallen := w
	fallen.NIC, fallen.Device = nic.NewID(), nic.Device{Kind: nic.Macvlan, MAC: w.Device.MAC, MTU: 1400, Parent: "ens1f0"}
	ns := m.engine.run(t, id(1), nil)
	m.Want(fallen)
	m.Await(t, fallen, nic.ObservedIn)
	if got := m.addrs(ns); !strings.Contains(got, "eth0") || !strings.Contains(got, "192.0.2.2/24") {
		t.Fatalf("on a macvlan the container has\n%s", got)
	}
	fallen.Gone, fallen.Moves = true, true
	m.Want(fallen)
	m.Await(t, fallen, nic.ObservedClean)
	if left := m.links(); !slices.Equal(left, before) || strings.Contains(m.addrs(ns), "eth0") {
		t.Errorf("in between the host has %q, and had %q; the container has\n%s", left, before, m.addrs(ns))
	}
	m.brought(w)
	if got := m.addrs(ns); !strings.Contains(got, "eth0") || !strings.Contains(got, "192.0.2.2/24") || m.cards.Set() != 1 {
		t.Errorf("on the VF, of which %d are set, the container has\n%s", m.cards.Set(), got)
	}
	m.givesBack(w)
}
