//go:build linux

package vmagent_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/vmagent"
	"github.com/nicferry/nicferry/vmagent/device/devicetest"
	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
)

// carded is a machine with a VF on each of two PFs.
type carded struct {
	*machine
	cards *devicetest.Cards
	seen  *sightings
}

func newCarded(t *testing.T, with ...func(*vmagent.Options)) *carded {
	t.Helper()
	t.Parallel()
	host := netnstest.New(t)
	cards, seen := devicetest.New(t, host, 2), &sightings{}
	return &carded{newMachineWith(t, host, func(o *vmagent.Options) {
		o.Functions, o.Observer = cards, seen
		for _, w := range with {
			w(o)
		}
	}), cards, seen}
}

// sightings is what an observer is told of VFs.
type sightings struct {
	mu     sync.Mutex
	byHand []string
	failed int
	lost   int
}

func (s *sightings) SetByHand(field string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byHand = append(s.byHand, field)
}

func (s *sightings) MemberFailed(_ string, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed += times
}

func (s *sightings) told() ([]string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.byHand), s.failed
}

func (*sightings) Ferried(string, time.Duration, error) {}
func (*sightings) Resynced()                            {}
func (*sightings) AskFailed(string)                     {}
func (*sightings) Leased(string, string)                {}

// onVF is a wish for VF 0 in container n, as the controller first has it.
func onVF(n int) nic.Wanted {
	mac := nic.NewMAC()
	return nic.Wanted{
		NIC: nic.NewID(), Claim: "clm-0000000000000001", Epoch: 1, Network: "cards", Container: fmt.Sprintf("c%04d", n), Turn: 1,
		Device: nic.Device{Kind: nic.SRIOV, MAC: mac, MTU: 1400, VF: devicetest.VF(0, mac)},
		Owner:  nic.Owner{Node: "here", Kind: nic.OwnerContainer, Sandbox: id(n), Interface: "eth0"},
		Layer3: nic.Layer3{Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}},
	}
}

// recorded is the wish after the controller has noted what the node told.
func recorded(w nic.Wanted, former []nic.VFWas) nic.Wanted {
	switch w.Device.Kind {
	case nic.SRIOV:
		w.Device.VF.Was = former[0]
	case nic.Bonded:
		w.Device.Bond.Members = slices.Clone(w.Device.Bond.Members)
		for i := range former {
			w.Device.Bond.Members[i].Was = former[i]
		}
	}
	return w
}

// onRecord has the controller note what the node tells of the wish's VFs, and is the
// wish after that.
func (m *carded) onRecord(w nic.Wanted) nic.Wanted {
	m.t.Helper()
	m.Want(w)
	w = recorded(w, m.former(w).Former)
	m.Want(w)
	return w
}

// former is the node's word once it has told how each VF of the wish was set before.
func (m *carded) former(w nic.Wanted) nic.Observed {
	m.t.Helper()
	vfs := max(1, len(w.Device.Bond.Members))
	return m.said(w, "what was before", func(o nic.Observed) bool { return len(o.Former) == vfs })
}

// brought has the wish's NIC brought into its container, by way of the record.
func (m *carded) brought(w nic.Wanted) (nic.Wanted, nic.Observed) {
	m.t.Helper()
	w = m.onRecord(w)
	said, _ := m.Await(m.t, w, nic.ObservedIn)
	return w, said
}

// givesBack has the wish end, and waits until nothing of it is left.
func (m *carded) givesBack(w nic.Wanted) {
	m.t.Helper()
	w.Gone = true
	m.Want(w)
	m.Await(m.t, w, nic.ObservedClean)
}

// unusable waits for the node to say that the wish's VF cannot be used, for that reason.
func (m *carded) unusable(w nic.Wanted, why string) {
	m.t.Helper()
	said := m.said(w, "why the VF cannot be used", func(o nic.Observed) bool { _, fails := reasonOf(o, nic.ReasonVFUnusable); return fails })
	if c, _ := reasonOf(said, nic.ReasonVFUnusable); said.State != nic.ObservedWaiting || !strings.Contains(c.Message, why) {
		m.t.Errorf("got %+v, want %q", said, why)
	}
}

// said waits until the node's word about a NIC is as ok has it.
func (m *carded) said(w nic.Wanted, what string, ok func(nic.Observed) bool) nic.Observed {
	m.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		said := m.Said(w.NIC)
		if ok(said) {
			return said
		}
		if time.Now().After(end) {
			m.t.Fatalf("waited a minute for %s; the node says %+v", what, said)
		}
	}
}

// has says whether the host has a link of that name.
func (m *carded) has(name string) bool {
	return slices.ContainsFunc(m.links(), func(l string) bool { return l == name || strings.HasPrefix(l, name+"@") })
}

func reasonOf(said nic.Observed, r nic.Reason) (nic.Condition, bool) {
	i := slices.IndexFunc(said.Conditions, func(c nic.Condition) bool { return c.Reason == r })
	if i < 0 {
		return nic.Condition{}, false
	}
	return said.Conditions[i], true
}

// Nothing is set of a VF before the controller has noted what was before, and it is set
// back when the NIC is given back (F31).
func TestF31_AVFIsSetOnceItsFormerSettingsAreOnRecord(t *testing.T) {
	m := newCarded(t)
	w := onVF(1)
	ns := m.engine.run(t, id(1), nil)
	m.Want(w)
	said := m.former(w)
	c, waits := reasonOf(said, nic.ReasonWaitingForRecord)
	if !waits || said.State != nic.ObservedWaiting || said.Former[0].Boot != "b" || m.cards.Set() != 0 {
		t.Errorf("before it is on record: %+v (%+v); %d are set", said, c, m.cards.Set())
	}
	w = recorded(w, said.Former)
	w.Device.VF.Was.Boot = "another" // of the boot before
	m.Want(w)
	m.agentRuns(w)
	if m.cards.Set() != 0 {
		t.Error("set, and what is on record is another boot's")
	}
	w = recorded(w, said.Former)
	m.Want(w)
	said, _ = m.Await(t, w, nic.ObservedIn)
	if len(said.Conditions) != 0 || len(said.Former) != 1 || m.cards.Set() != 1 {
		t.Errorf("in the container: %+v; %d are set", said, m.cards.Set())
	}
	if got := m.addrs(ns); !strings.Contains(got, "192.0.2.2/24") {
		t.Errorf("the container has\n%s", got)
	}
	m.givesBack(w)
	if m.cards.Set() != 0 || !m.has("VF11") || strings.Contains(m.addrs(ns), "eth0") {
		t.Errorf("given back: %d are set, host has %v", m.cards.Set(), m.links())
	}
}

// agentRuns waits until the worker has looked at a wish once more.
func (m *carded) agentRuns(w nic.Wanted) {
	m.t.Helper()
	m.cards.Said()
	m.engine.change(w.Owner.Sandbox, func() {})
	for end := time.Now().Add(time.Minute); !slices.ContainsFunc(m.cards.Said(), func(call string) bool {
		return strings.HasPrefix(call, "take") || strings.HasPrefix(call, "apply")
	}); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatal("the worker does not look")
		}
	}
}

// An agent that ends at any step leaves a VF to the next one.
func TestF31_TheNextAgentGoesOnWithAVF(t *testing.T) {
	m := newCarded(t)
	again := func() {
		m.stop()
		m.start()
	}
	w := onVF(1)
	ns := m.engine.run(t, id(1), nil)
	m.Want(w)
	m.former(w)
	again() // what it has told is lost, maybe
	w, _ = m.brought(w)
	again()
	m.agentRuns(w)
	m.said(w, "it to be in", func(o nic.Observed) bool { return o.State == nic.ObservedIn })
	if got := m.addrs(ns); !strings.Contains(got, "192.0.2.2/24") || m.cards.Set() != 1 {
		t.Errorf("after another start: %d are set, and the container has\n%s", m.cards.Set(), got)
	}
	m.stop()
	w.Gone = true
	m.Want(w)
	m.start()
	m.Await(t, w, nic.ObservedClean)
	again()
	m.Await(t, w, nic.ObservedClean)
	if m.cards.Set() != 0 || !m.has("VF11") {
		t.Errorf("given back: %d are set, host has %v", m.cards.Set(), m.links())
	}
}

// F39: a clean-up that comes late finds the VF in the next one's container, and leaves it
// there as it is.
func TestF39_ALateGiveBackLeavesTheNextOnesVFAlone(t *testing.T) {
	m := newCarded(t)
	late := onVF(1)
	was := m.engine.run(t, id(1), nil)
	late, _ = m.brought(late)
	m.stop()
	// Hardware comes home by itself.
	netnstest.Run(t, was, "ip", "link", "set", "eth0", "down", "netns", leasetest.Path(m.host))
	netnstest.Run(t, m.host, "ip", "link", "set", "eth0", "name", "vf0")
	next := onVF(2)
	next.Claim = "clm-0000000000000002"
	ns := m.engine.run(t, id(2), nil)
	m.engine.die(id(1))
	m.cards.Own(next.NIC, next.Device.VF)
	m.start()
	m.brought(next)
	late.Gone = true
	m.cards.Said()
	m.Want(late, recorded(next, []nic.VFWas{{Boot: "b"}}))
	m.Await(t, late, nic.ObservedClean)
	if got := m.addrs(ns); !strings.Contains(got, "192.0.2.2/24") || m.cards.Set() != 1 {
		t.Errorf("after the late one: %d are set, and the next one's container has\n%s", m.cards.Set(), got)
	}
}

// What somebody sets of a VF that a container has is found, told and put right.
func TestWhatIsSetByHandIsToldAndMended(t *testing.T) {
	m := newCarded(t)
	w := onVF(1)
	ns := m.engine.run(t, id(1), nil)
	w, _ = m.brought(w)
	m.cards.SetByHand(w.Device.VF, errors.Join(
		&vf.FieldError{PF: "ens1f0", Index: 0, Field: "VLAN", Wanted: "none", Found: "7 (priority 0, 802.1Q)"},
		&vf.PromiscuousError{PF: "ens1f0", PCI: w.Device.VF.PF}, &vf.UntoldError{PF: "ens1f0", Index: 3}))
	netnstest.Run(t, ns, "ip", "link", "set", "eth0", "promisc", "on")
	m.engine.change(id(1), func() {})
	said := m.said(w, "it to be told", func(o nic.Observed) bool {
		c, _ := reasonOf(o, nic.ReasonSetByHand)
		return strings.Contains(c.Message, "interface eth0 in the container was in promiscuous mode")
	})
	loud, told := reasonOf(said, nic.ReasonPromiscuous)
	if said.State != nic.ObservedIn || !told || !strings.Contains(loud.Message, `"ens1f0" (0000:03:00.0) is in promiscuous mode`) {
		t.Errorf("got %+v", said)
	}
	if c, told := reasonOf(said, nic.ReasonSpoofCheckUntold); !told || !strings.Contains(c.Message, `VF 3 of "ens1f0": the card's driver does not tell`) {
		t.Errorf("a spoof check that nobody can see: %+v", said)
	}
	if got := netnstest.Run(t, ns, "ip", "link", "show", "eth0"); strings.Contains(got, "PROMISC") {
		t.Errorf("the container's NIC is still promiscuous: %s", got)
	}
	fields, _ := m.seen.told()
	if want := []string{"VLAN", "promiscuous mode"}; !slices.Equal(fields, want) {
		t.Errorf("told of %q; want %q", fields, want)
	}
	if log := m.log.String(); !strings.Contains(log, "VF 0 of ens1f0: VLAN was 7 (priority 0, 802.1Q), not none") {
		t.Errorf("the log has no word of it:\n%s", log)
	}
	m.cards.SetByHand(w.Device.VF, nil)
	m.engine.change(id(1), func() {})
	m.said(w, "the card to be quiet", func(o nic.Observed) bool { _, told := reasonOf(o, nic.ReasonPromiscuous); return !told })
}

// A NIC whose container gives it other names is known by its place on the bus, and comes
// home clean (F30, F34, F37).
func TestF30_F34_F37_AVFUnderOtherNamesComesHome(t *testing.T) {
	m := newCarded(t)
	w := onVF(1)
	ns := m.engine.run(t, id(1), nil)
	w, _ = m.brought(w)
	netnstest.Run(t, ns, "ip", "link", "property", "add", "dev", "eth0", "altname", "VF11")
	netnstest.Run(t, ns, "ip", "link", "set", "eth0", "down")
	netnstest.Run(t, ns, "ip", "link", "set", "eth0", "name", "mine", "address", nic.NewMAC().String())
	m.givesBack(w)
	if !m.has("VF11") || strings.Contains(m.addrs(ns), "mine") {
		t.Errorf("given back: host has %v", m.links())
	}
}

// The controller hears of the node's cards at hello, and of each change until it has it.
func TestCardsAreToldAtHelloAndWhenTheyChange(t *testing.T) {
	var mu sync.Mutex
	has := []nic.Card{{PCI: "0000:03:00.0", Name: "ens1f0", NUMA: -1, VFs: []nic.CardVF{{PCI: "0000:03:10.0", Name: "VF11", Used: "free"}}}}
	looks := 0
	m := newCarded(t, func(o *vmagent.Options) {
		o.Cards = func() ([]nic.Card, error) {
			mu.Lock()
			defer mu.Unlock()
			looks++
			return slices.Clone(has), nil
		}
	})
	await := func(what string, ok func([]nic.Card) bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			cards, _ := m.Cards()
			if ok(cards) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("waited a minute for %s; told is %+v", what, cards)
			}
		}
	}
	await("the cards at hello", func(cards []nic.Card) bool { return len(cards) == 1 && cards[0].VFs[0].Used == "free" })
	w := onVF(1)
	m.engine.run(t, id(1), nil)
	w, _ = m.brought(w)
	_, times := m.Cards()
	if times != 1 {
		t.Errorf("told %d times, and nothing has changed", times)
	}
	mu.Lock()
	has = []nic.Card{{PCI: "0000:03:00.0", Name: "ens1f0", NUMA: -1, VFs: []nic.CardVF{{PCI: "0000:03:10.0", Name: "VF11", Used: "joined"}}}}
	mu.Unlock()
	netnstest.Run(t, m.host, "ip", "link", "set", "vf1", "mtu", "1400") // any change of a link
	await("the change", func(cards []nic.Card) bool { return cards[0].VFs[0].Used == "joined" })
	mu.Lock()
	has = nil
	mu.Unlock()
	m.givesBack(w)
	if cards, _ := m.Cards(); len(cards) != 0 {
		t.Errorf("the report that a VF is clean has no look at the cards with it: %+v", cards)
	}
}

// F38: a NIC is in its container once a frame has left it with its MAC.
func TestF38_AVFIsInOnceAFrameHasLeft(t *testing.T) {
	m := newCarded(t)
	m.cards.Cable(t, 0, false)
	w := onVF(1)
	m.engine.run(t, id(1), nil)
	w = m.onRecord(w)
	said := m.said(w, "nothing to leave", func(o nic.Observed) bool { _, told := reasonOf(o, nic.ReasonNothingLeaves); return told })
	if c, _ := reasonOf(said, nic.ReasonNothingLeaves); said.State != nic.ObservedMade || !strings.Contains(c.Message, w.Device.MAC.String()) {
		t.Errorf("without a cable: %+v", said)
	}
	if u := m.counted(); u != (upAndDown{0, 1}) {
		t.Errorf("without a cable it is counted %+v; want it down", u)
	}
	m.cards.Cable(t, 0, true)
	m.Await(t, w, nic.ObservedIn)
	// What was seen once stays seen: a cable that is pulled later takes no NIC away, also
	// before the eyes of the next agent.
	m.cards.Cable(t, 0, false)
	m.stop()
	m.start()
	said = m.said(w, "the link to be down", func(o nic.Observed) bool { _, told := reasonOf(o, nic.ReasonLinkDown); return told })
	if _, waits := reasonOf(said, nic.ReasonNothingLeaves); said.State != nic.ObservedIn || waits {
		t.Errorf("pulled afterwards: %+v", said)
	}
}

// F37: what udev makes of a VF while it waits does not mislead the agent.
func TestF37_AVFThatIsRenamedWhileItWaits(t *testing.T) {
	m := newCarded(t)
	w := onVF(1)
	m.Want(w)
	ns := m.engine.run(t, id(1), nil)
	said := m.former(w)
	netnstest.Run(t, m.host, "ip", "link", "set", "vf0", "name", "enp3s16", "address", nic.NewMAC().String())
	netnstest.Run(t, m.host, "ip", "link", "property", "add", "dev", "enp3s16", "altname", "eth0")
	netnstest.Run(t, m.host, "ip", "link", "set", "enp3s16", "up")
	w = recorded(w, said.Former)
	m.Want(w)
	m.Await(t, w, nic.ObservedIn)
	if got := netnstest.Run(t, ns, "ip", "-o", "link", "show", "eth0"); !strings.Contains(got, w.Device.MAC.String()) || strings.Contains(got, "altname") {
		t.Errorf("in the container: %s", got)
	}
}

// F39: a container that runs on and has hidden its VF gives it back all the same, and it is
// home before it is set back.
func TestF39_AVFThatALiveContainerHidesIsGivenBack(t *testing.T) {
	m := newCarded(t)
	w := onVF(1)
	ns := m.engine.run(t, id(1), nil)
	w, _ = m.brought(w)
	m.stop() // or it would be put back before
	hidden := netnstest.New(t)
	netnstest.Run(t, ns, "ip", "link", "set", "eth0", "netns", leasetest.Path(hidden))
	process(t, hidden)
	w.Gone = true
	m.Want(w)
	m.start()
	m.Await(t, w, nic.ObservedClean)
	if !m.has("VF11") || m.cards.Set() != 0 {
		t.Errorf("given back: host has %v, and %d VFs are set", m.links(), m.cards.Set())
	}
}

// F39: a VF that somebody else has by the time that it is wanted is told of, and is left
// where it is also when the NIC is given up.
func TestF39_AVFThatSomebodyElseHasIsLeftAlone(t *testing.T) {
	m := newCarded(t)
	foreign := netnstest.New(t)
	netnstest.Run(t, m.host, "ip", "link", "set", "vf0", "netns", leasetest.Path(foreign))
	netnstest.Run(t, foreign, "ip", "link", "set", "vf0", "up")
	process(t, foreign)
	w := onVF(1)
	m.engine.run(t, id(1), nil)
	w = m.onRecord(w)
	m.unusable(w, "VF 0000:03:10.0 has no interface in the host's namespace")
	m.givesBack(w)
	if got := netnstest.Run(t, foreign, "ip", "-o", "link", "show", "vf0"); !strings.Contains(got, ",UP") {
		t.Errorf("the other one has %s", got)
	}
}

// F40: a VF whose driver refuses what is to be set is told of as one in whose place
// another may do, unless the container has had it: then it is the node's trouble.
func TestF40_AVFWhoseDriverRefusesItIsToldOf(t *testing.T) {
	m := newCarded(t)
	refused := fmt.Errorf("rate: wanted 100 Mbit/s: %w", vf.ErrRefused)
	m.cards.Refuse = refused
	w := onVF(1)
	m.engine.run(t, id(1), nil)
	w = m.onRecord(w)
	m.unusable(w, "rate: wanted 100 Mbit/s")
	m.stop()
	m.cards.Refuse = nil
	m.start()
	m.Await(t, w, nic.ObservedIn)
	m.stop()
	m.cards.Refuse = refused
	m.start()
	said := m.said(w, "the refusal", func(o nic.Observed) bool { return len(o.Conditions) > 0 })
	if _, fails := reasonOf(said, nic.ReasonNodeError); !fails {
		t.Errorf("of a VF that the container had it says %+v", said)
	}
}
