//go:build linux

package vmagent_test

import (
	"testing"

	"github.com/nicferry/nicferry/nic"
)

func (s *sightings) LinkFailed(string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost++
}

func (s *sightings) losses() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// withLink counts single VFs for metrics.
type withLink struct {
	upAndDown
	links upAndDown
}

func (u *withLink) Links(_ string, up, down int) {
	u.links.up, u.links.down = u.links.up+up, u.links.down+down
}
func (*upAndDown) Links(string, int, int) {}
func (m *carded) counted() upAndDown      { var u withLink; m.agent.Tally(&u); return u.links }

// A VF whose cable is pulled once it is in its container says so while it is out, and is
// counted once; the claim stays.
func TestAVFThatLosesItsLinkTellsOfIt(t *testing.T) {
	m := newCarded(t)
	w := onVF(1)
	m.engine.run(t, id(1), nil)
	w, said := m.brought(w)
	if u := m.counted(); len(said.Conditions) != 0 || u != (upAndDown{1, 0}) {
		t.Errorf("at first: %+v, %+v", said, u)
	}
	m.cards.Cable(t, 0, false)
	isDown := func(o nic.Observed) bool { _, is := reasonOf(o, nic.ReasonLinkDown); return is }
	said = m.said(w, "the link to be down", isDown)
	c, _ := reasonOf(said, nic.ReasonLinkDown)
	if want := "VF 0000:03:10.0 of PF 0000:03:00.0 has no link"; said.State != nic.ObservedIn || c.Message != want || len(said.Addrs) != 1 {
		t.Errorf("got %+v; want %q", said, want)
	}
	m.agentRuns(w)
	if u := m.counted(); u != (upAndDown{0, 1}) || m.seen.losses() != 1 || !isDown(m.Said(w.NIC)) {
		t.Errorf("down: %+v, %d failures, %+v", u, m.seen.losses(), m.Said(w.NIC))
	}
	m.cards.Cable(t, 0, true)
	m.said(w, "the link to be back", func(o nic.Observed) bool { return o.State == nic.ObservedIn && len(o.Conditions) == 0 })
	if u := m.counted(); u != (upAndDown{1, 0}) {
		t.Errorf("back again: %+v", u)
	}
	m.givesBack(w)
	if u := m.counted(); u != (upAndDown{}) {
		t.Errorf("given back: %+v", u)
	}
}

// The agent that comes after hears of it too.
func TestTheNextAgentHearsOfALinkThatIsLost(t *testing.T) {
	m := newCarded(t)
	w := onVF(1)
	m.engine.run(t, id(1), nil)
	w, _ = m.brought(w)
	m.stop()
	m.start()
	m.agentRuns(w)
	m.said(w, "it to be in", func(o nic.Observed) bool { return o.State == nic.ObservedIn })
	m.cards.Cable(t, 0, false)
	m.said(w, "the link to be down", func(o nic.Observed) bool { _, is := reasonOf(o, nic.ReasonLinkDown); return is })
	m.givesBack(w)
}
