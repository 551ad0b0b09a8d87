//go:build linux

package vmagent_test

import (
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device/devicetest"
)

// A card that has become a bridge's port, or carries the other kind of link, refuses a
// macvlan: that is told as what another kind may do for, and ends by itself.
func TestALinkOnABusyCardIsToldOf(t *testing.T) {
	m := newCarded(t)
	for _, args := range [][]string{
		{"add", "ens1f0", "up", "type", "veth", "peer", "name", "wire"}, {"set", "wire", "up"}, {"add", "br0", "type", "bridge"}, {"set", "ens1f0", "master", "br0"},
	} {
		netnstest.Run(t, m.host, "ip", append([]string{"link"}, args...)...)
	}
	w := onVF(1)
	w.Device = nic.Device{Kind: nic.Macvlan, MAC: w.Device.MAC, Parent: "ens1f0"}
	m.engine.run(t, id(1), nil)
	m.Want(w)
	said := m.said(w, "the card to be busy", func(o nic.Observed) bool { _, told := reasonOf(o, nic.ReasonCardBusy); return told })
	if c, _ := reasonOf(said, nic.ReasonCardBusy); said.State != nic.ObservedWaiting || !strings.Contains(c.Message, `"ens1f0"`) || !strings.Contains(c.Message, link.ErrBusy.Error()) {
		t.Errorf("got %+v", said)
	}
	netnstest.Run(t, m.host, "ip", "link", "set", "ens1f0", "nomaster")
	m.engine.change(id(1), func() {})
	said, _ = m.Await(t, w, nic.ObservedIn)
	if _, told := reasonOf(said, nic.ReasonCardBusy); told {
		t.Errorf("in its container: %+v", said)
	}
	m.givesBack(w)
}

// F40: a card that is pulled out while a container has its VF takes that along. The node
// says so, as of a VF in whose place another may do; giving it back works without the
// card, and twice; and another VF comes into the same container, with its MAC.
func TestF40_ACardThatIsPulledOutUnderAContainer(t *testing.T) {
	m := newCarded(t)
	w := onVF(1)
	ns := m.engine.run(t, id(1), nil)
	w, _ = m.brought(w)
	m.cards.Pull(t, 0)
	m.unusable(w, "physical function 0000:03:00.0 has no interface in the host's namespace: no such virtual function")
	if got := m.addrs(ns); strings.Contains(got, "eth0") {
		t.Errorf("the container has\n%s", got)
	}
	m.givesBack(w)
	m.stop()
	m.start()
	m.Await(t, w, nic.ObservedClean)
	if m.cards.Set() != 0 {
		t.Errorf("given back: %d are set", m.cards.Set())
	}
	next := w
	next.NIC, next.Turn, next.Device.VF = nic.NewID(), 2, devicetest.VF(1, w.Device.MAC)
	m.brought(next)
	if got := m.addrs(ns); !strings.Contains(got, "eth0") || !strings.Contains(got, "192.0.2.2/24") {
		t.Errorf("with another VF the container has\n%s", got)
	}
	m.givesBack(next)
}

// A bond goes on with its other member: to take it out would cost the container all.
func TestABondWhoseCardIsPulledOutGoesOn(t *testing.T) {
	m := newCarded(t)
	w, works := m.bonded()
	if !works {
		return
	}
	m.cards.Pull(t, 0)
	said := m.said(w, "the member to be gone", func(o nic.Observed) bool { return len(o.Conditions) > 0 })
	if _, unusable := reasonOf(said, nic.ReasonVFUnusable); unusable {
		t.Errorf("the bond would be taken out: %+v", said)
	}
	m.givesBack(w)
}
