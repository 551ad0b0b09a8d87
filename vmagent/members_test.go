//go:build linux

package vmagent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device/devicetest"
)

// onBond is a wish for a bond of both VFs in container n.
func onBond(n int) nic.Wanted {
	w := onVF(n)
	w.Device = nic.Device{Kind: nic.Bonded, MAC: w.Device.MAC, MTU: 1400, Bond: devicetest.Bond(nic.BondActiveBackup, w.Device.MAC)}
	w.Device.Bond.Monitor = nic.Duration(20 * time.Millisecond)
	return w
}

// bonded has a bond brought into container 1. A kernel without bonds has the node say so,
// and nothing is brought in. Suite sriov has a guest with them.
func (m *carded) bonded() (w nic.Wanted, works bool) {
	m.t.Helper()
	w = onBond(1)
	m.engine.run(m.t, id(1), nil)
	m.Want(w)
	said := m.said(w, "what was before", func(o nic.Observed) bool { return len(o.Former) == 2 })
	w = recorded(w, said.Former)
	m.Want(w)
	said = m.said(w, "the bond, or a word why there is none", func(o nic.Observed) bool {
		_, fails := reasonOf(o, nic.ReasonNodeError)
		return o.State == nic.ObservedIn || fails
	})
	if said.State == nic.ObservedIn {
		return w, true
	}
	if c, _ := reasonOf(said, nic.ReasonNodeError); !strings.Contains(c.Message, "install the node's kernel modules") || !m.has("VF11") || !m.has("VF21") {
		m.t.Errorf("without bonds: %+v; host has %v", said, m.links())
	}
	m.t.Log("this kernel has no bonds")
	m.givesBack(w)
	if m.cards.Set() != 0 {
		m.t.Errorf("given back: %d are still set", m.cards.Set())
	}
	return w, false
}

// upAndDown counts members for metrics.
type upAndDown struct{ up, down int }

func (u *upAndDown) Members(_ string, up, down int)        { u.up, u.down = u.up+up, u.down+down }
func (*upAndDown) NICs(nic.ObservedState, string, int)     {}
func (*upAndDown) Connected(bool)                          {}
func (*upAndDown) Workers(int, int)                        {}
func (*upAndDown) Asks(int)                                {}
func (*upAndDown) Leases(string, int, int)                 {}
func (m *carded) members() (u upAndDown)                   { m.agent.Tally(&u); return u }
func memberDown(o nic.Observed) (c nic.Condition, is bool) { return reasonOf(o, nic.ReasonMemberDown) }

// A member whose cable is pulled is told while it is out, and counted; the claim stays.
func TestBondThatLosesAMemberTellsOfIt(t *testing.T) {
	m := newCarded(t)
	w, works := m.bonded()
	if !works {
		return
	}
	if u := m.members(); u.up != 2 || u.down != 0 {
		t.Errorf("at first: %+v", u)
	}
	m.cards.Cable(t, 0, false)
	said := m.said(w, "a member to be down", func(o nic.Observed) bool { _, is := memberDown(o); return is })
	c, _ := memberDown(said)
	if want := "VF 0000:03:10.0 of PF 0000:03:00.0 has no link; the bond goes on over VF 0000:04:10.0 of PF 0000:04:00.0"; said.State != nic.ObservedIn || c.Message != want {
		t.Errorf("got %+v; want %q", said, want)
	}
	if _, failed := m.seen.told(); m.members() != (upAndDown{1, 1}) || failed != 1 {
		t.Errorf("counted: %+v, %d failures", m.members(), failed)
	}
	m.cards.Cable(t, 0, true)
	m.said(w, "the member to be back", func(o nic.Observed) bool { _, is := memberDown(o); return !is && o.State == nic.ObservedIn })
	if u := m.members(); u != (upAndDown{2, 0}) {
		t.Errorf("back again: %+v", u)
	}
	m.givesBack(w)
	if !m.has("VF11") || !m.has("VF21") || m.cards.Set() != 0 {
		t.Errorf("given back: %d are set, host has %v", m.cards.Set(), m.links())
	}
}

// An agent that ends leaves a bond as it is, and the next one goes on with it.
func TestBondIsKeptByTheNextAgent(t *testing.T) {
	m := newCarded(t)
	w, works := m.bonded()
	if !works {
		return
	}
	ns := m.engine.spaces[id(1)]
	before := netnstest.Run(t, ns, "ip", "-o", "addr", "show", "eth0")
	m.stop()
	m.start()
	m.agentRuns(w)
	m.said(w, "it to be in", func(o nic.Observed) bool { return o.State == nic.ObservedIn })
	if after := netnstest.Run(t, ns, "ip", "-o", "addr", "show", "eth0"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
