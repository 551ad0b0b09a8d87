package sriov_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

func TestPlaceChoosesAndSettles(t *testing.T) {
	w := newWorld(2)
	p := w.controller()
	spec := ask(one)
	spec.MTU = 1400
	spec.Functions.Set = nic.VFSettings{VLAN: &nic.VFVLAN{ID: 100, QoS: 3}, Link: nic.VFLinkAuto, Rate: &nic.VFRate{Max: 500}}
	placed := w.place(t, p, spec, alpha)
	d := placed.Device
	if placed.Node != "alpha" || !placed.Functions.IsZero() || d.Kind != nic.SRIOV || d.MAC != spec.MAC || d.MTU != 1400 {
		t.Errorf("placed as %+v", placed)
	}
	vf := d.VF
	if vf.PF != "0000:01:00.0" || vf.PCI != "0000:01:01.0" || vf.Index != 0 || vf.Name != "VF11" || vf.UserSpace {
		t.Errorf("was given %+v", vf)
	}
	set := vf.Set
	if set.MAC != spec.MAC || *set.VLAN != (nic.VFVLAN{ID: 100, QoS: 3}) || set.Link != nic.VFLinkAuto || set.Rate.Max != 500 {
		t.Errorf("is to be set as %+v", set)
	}
	if set.SpoofCheck == nil || !*set.SpoofCheck || set.Trust == nil || *set.Trust {
		t.Errorf("what nobody said is to be set: spoof check %v, trust %v; want on and off", set.SpoofCheck, set.Trust)
	}
	again := w.place(t, p, placed, alpha)
	if again.Device.VF.PCI != vf.PCI {
		t.Errorf("placed twice as %+v", again)
	}
	if _, err := p.Place(t.Context(), placed, w.node(beta)); !errors.Is(err, provider.ErrInvalid) {
		t.Errorf("a placed NIC on another node: %v", err)
	}
	if _, err := p.Create(t.Context(), placed); err != nil {
		t.Errorf("Create of what was placed: %v", err)
	}
}

// A network without a VLAN has it taken away, whoever set one; and what one
// container may do is not what the last one might.
func TestPlaceInheritsNothing(t *testing.T) {
	w := newWorld(2)
	p := w.controller()
	for what, f := range map[string]nic.Functions{"a VF": one, "a bond": bond} {
		d := w.place(t, p, ask(f), alpha).Device
		for _, vf := range append(d.Bond.Members, d.VF) {
			set := vf.Set
			if vf.PCI == "" {
				continue
			}
			if set.VLAN == nil || *set.VLAN != (nic.VFVLAN{}) || set.SpoofCheck == nil || !*set.SpoofCheck || set.Trust == nil || *set.Trust {
				t.Errorf("%s is to be set as %+v; want no VLAN, spoof check on and trust off", what, set)
			}
		}
	}
}

func TestPlaceHandsAVFToUserSpace(t *testing.T) {
	w := newWorld(1)
	f := one
	f.UserSpace, f.Fallback = true, []nic.DeviceKind{nic.Macvlan}
	p := w.controller()
	if d := w.place(t, p, ask(f), alpha).Device; !d.VF.UserSpace {
		t.Errorf("was given %+v", d)
	}
	if got, err := p.Place(t.Context(), ask(f), w.node(alpha)); !errors.Is(err, provider.ErrExhausted) {
		t.Errorf("a program that wants a card is given %+v, %v", got.Device, err)
	}
}

func TestPlaceTellsAllThatIsWrong(t *testing.T) {
	w := newWorld(1)
	p := w.controller()
	spec := ask(nic.Functions{
		PFs: [][]string{{"ens1f0#x", "en s"}, {}}, Bond: nic.Bond8023AD, Fallback: []nic.DeviceKind{nic.Veth},
		Set: nic.VFSettings{MAC: nic.NewMAC(), VLAN: &nic.VFVLAN{ID: 4095, QoS: 8}, Link: "on", Rate: &nic.VFRate{Min: 2, Max: 1}},
	})
	spec.NIC, spec.MAC, spec.MTU = "nic-../..", nic.MAC{1}, 7
	_, err := p.Place(t.Context(), spec, w.node(alpha))
	for _, want := range []string{
		"nic:", "mac:", "multicast", "mtu:", "functions.pfs[0][0]:", "functions.pfs[0][1]:", "functions.pfs[1]:", "functions.bond:", "LACP",
		"functions.set.mac:", "VLAN 4095", "priority 8", `link "on"`, "rate:", "functions.fallback[0]:",
	} {
		if !errors.Is(err, provider.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("Place: %v\ndoes not say %q", err, want)
		}
	}
	for name, c := range map[string]struct {
		spoil func(*nic.Spec)
		want  string
	}{
		"VLAN 0 with priority":  {func(s *nic.Spec) { s.Functions.Set.VLAN = &nic.VFVLAN{QoS: 1} }, "VLAN 0"},
		"no lists":              {func(s *nic.Spec) { s.Functions = nic.Functions{} }, "functions.pfs:"},
		"three lists":           {func(s *nic.Spec) { s.Functions.PFs = [][]string{{"a"}, {"b"}, {"c"}} }, "functions.pfs:"},
		"bond without a mode":   {func(s *nic.Spec) { s.Functions = bond; s.Functions.Bond = "" }, "functions.bond:"},
		"mode without a bond":   {func(s *nic.Spec) { s.Functions.Bond = nic.BondXOR }, "functions.bond:"},
		"bond over one card":    {func(s *nic.Spec) { s.Functions = bond; s.Functions.PFs = [][]string{{"ens1f0#0"}, {"ens1f0#1"}} }, "both lists are ens1f0"},
		"bond that is one here": {func(s *nic.Spec) { s.Functions = bond; s.Functions.PFs = [][]string{{"ens1*"}, {"ens1f*"}} }, "a bond needs two PFs"},
		"alb with spoof check":  {func(s *nic.Spec) { s.Functions = bond; s.Functions.Bond = nic.BondALB }, "trust on and spoof check off"},
		"bond in user space":    {func(s *nic.Spec) { s.Functions = bond; s.Functions.UserSpace = true }, "functions.userSpace:"},
		"no such card":          {func(s *nic.Spec) { s.Functions.PFs = [][]string{{"eth9"}} }, "no such PF here as eth9; this node has ens1f0 (0000:01:00.0), ens2f0"},
		"device besides":        {func(s *nic.Spec) { s.Device.Kind = nic.Macvlan }, "device.kind:"},
	} {
		spec := ask(one)
		c.spoil(&spec)
		if _, err := p.Place(t.Context(), spec, w.node(alpha)); !errors.Is(err, provider.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want an invalid %q", name, err, c.want)
		}
	}
	w.ledger.WantEmpty(t, "refused specs")
}

func TestCreateRefusesWhatIsNotPlaced(t *testing.T) {
	w := newWorld(2)
	p := w.controller()
	for name, spoil := range map[string]func(*nic.Spec){
		"functions:":         func(s *nic.Spec) { s.Functions = one },
		"node:":              func(s *nic.Spec) { s.Node = "a/b" },
		"device.kind:":       func(s *nic.Spec) { s.Device.Kind = nic.Veth },
		"device.vf:":         func(s *nic.Spec) { s.Device.VF.PCI = "../../etc" },
		"device.vf.set.mac:": func(s *nic.Spec) { s.Device.VF.Set.MAC = nic.NewMAC() },
		"device.bond:":       func(s *nic.Spec) { s.Device.Kind = nic.Bonded },
		"device.parent:":     func(s *nic.Spec) { s.Device.Kind = nic.Macvlan },
		"device.mac:":        func(s *nic.Spec) { s.Device.Kind, s.Device.MAC, s.Device.Parent = nic.Ipvlan, nic.MAC{}, "ens1f0" },
	} {
		spec := w.roundRobin()(nic.NewID(), alpha)
		spoil(&spec)
		if _, err := p.Create(t.Context(), spec); !errors.Is(err, provider.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("Create: %v; want an invalid %s", err, name)
		}
	}
	w.ledger.WantEmpty(t, "refused specs")
}

func TestANodeWithoutCardsSaysWhatToDo(t *testing.T) {
	w := newWorld(1)
	p := w.controller()
	w.cards = nil
	w.nodes.SetCards(alpha.Instance, nil)
	_, placeErr := p.Place(t.Context(), ask(one), w.node(alpha))
	_, limitsErr := p.Limits(t.Context(), alpha.Instance)
	for _, err := range []error{placeErr, limitsErr} {
		for _, want := range []string{"node alpha", "nicferry-agent sriov list", "nicferry doctor", "older"} {
			if !errors.Is(err, provider.ErrUnsupported) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: does not say %q", err, want)
			}
		}
	}
}

func TestABondIsOverTwoCards(t *testing.T) {
	w := newWorld(2)
	p := w.controller()
	f := bond
	f.Monitor = nic.Duration(50 * time.Millisecond)
	d := w.place(t, p, ask(f), alpha).Device
	b := d.Bond
	if d.Kind != nic.Bonded || b.Mode != nic.BondActiveBackup || b.Monitor != f.Monitor || len(b.Members) != 2 {
		t.Fatalf("was given %+v", d)
	}
	first, second := b.Members[0], b.Members[1]
	if first.PF == second.PF || first.Index != second.Index || first.Set.MAC != d.MAC || second.Set.MAC != d.MAC {
		t.Errorf("members %+v and %+v; want VFs of one number and MAC, of two cards", first, second)
	}
	// A VF that is taken takes its counterpart from the bonds.
	if vf := w.place(t, p, ask(one), alpha).Device.VF; vf.Index != 1 {
		t.Fatalf("was given %+v", vf)
	}
	_, err := p.Place(t.Context(), ask(bond), w.node(alpha))
	if !errors.Is(err, provider.ErrExhausted) || !strings.Contains(err.Error(), "1 whose counterpart is not free") {
		t.Errorf("a third: %v", err)
	}

	f = bond
	f.Bond, f.Set = nic.BondALB, nic.VFSettings{SpoofCheck: new(false), Trust: new(true)}
	d = w.place(t, p, ask(f), beta).Device
	if macs := d.Bond.Members; macs[0].Set.MAC != d.MAC || macs[1].Set.MAC == d.MAC || macs[1].Set.MAC.IsZero() {
		t.Errorf("members of a bond that swaps MACs: %+v", macs)
	}
}

func TestFallback(t *testing.T) {
	both := []nic.DeviceKind{nic.Macvlan, nic.Ipvlan}
	for name, c := range map[string]struct {
		f     func(*nic.Functions)
		cards func([]nic.Card)
		want  nic.DeviceKind // "" is refused
		on    string
	}{
		"none":                      {f: func(*nic.Functions) {}},
		"the first":                 {f: func(f *nic.Functions) { f.Fallback = both }, want: nic.Macvlan, on: "ens1f0"},
		"the other":                 {f: func(f *nic.Functions) { f.Fallback = both[1:] }, want: nic.Ipvlan, on: "ens1f0"},
		"no VLAN, in so many words": {f: func(f *nic.Functions) { f.Fallback, f.Set.VLAN = both, &nic.VFVLAN{} }, want: nic.Macvlan, on: "ens1f0"},
		"a VLAN cannot be kept":     {f: func(f *nic.Functions) { f.Fallback, f.Set.VLAN = both, &nic.VFVLAN{ID: 7} }},
		"on the card with a link":   {f: func(f *nic.Functions) { f.Fallback = both }, cards: func(cs []nic.Card) { cs[0].Carrier = false }, want: nic.Macvlan, on: "ens2f0"},
		"not on a bond's port":      {f: func(f *nic.Functions) { f.Fallback = both }, cards: func(cs []nic.Card) { cs[0].Master = "bond0" }, want: nic.Macvlan, on: "ens2f0"},
		"bonds' ports alone":        {f: func(f *nic.Functions) { f.Fallback = both }, cards: func(cs []nic.Card) { cs[0].Master, cs[1].Master = "bond0", "br0" }},
		"no card with a name":       {f: func(f *nic.Functions) { f.Fallback = both }, cards: func(cs []nic.Card) { cs[0].Name, cs[1].Name = "", "" }},
		"no MAC for an ipvlan":      {f: func(f *nic.Functions) { f.Fallback = both[1:] }, cards: func(cs []nic.Card) { cs[0].MAC, cs[1].MAC = nic.MAC{}, nic.MAC{} }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(1)
			p := w.controller()
			if c.cards != nil {
				c.cards(w.cards)
			}
			spec := ask(nic.Functions{PFs: [][]string{{"ens*", "0000:01:00.0", "0000:02:00.0"}}})
			c.f(&spec.Functions)
			for range 2 { // all there are
				w.place(t, p, ask(spec.Functions), alpha)
			}
			placed, err := p.Place(t.Context(), spec, w.node(alpha))
			if c.want == "" {
				if !errors.Is(err, provider.ErrExhausted) || !strings.Contains(err.Error(), "no VF is free") || !strings.Contains(err.Error(), "given out") {
					t.Errorf("Place: %+v, %v; want that no VF is free, and where they are", placed, err)
				}
				return
			}
			if err != nil || placed.Device.Kind != c.want || placed.Device.Parent != c.on || !placed.Functions.IsZero() {
				t.Fatalf("fell back to %+v, %v; want %s on %s", placed, err, c.want, c.on)
			}
			mac := spec.MAC
			if c.want == nic.Ipvlan {
				mac = w.cards[0].MAC
			}
			if placed.Device.MAC != mac {
				t.Errorf("fell back to %+v; want MAC %s", placed.Device, mac)
			}
			if _, err := p.Create(t.Context(), placed); err != nil {
				t.Fatal(err)
			}
			if seen, err := p.Attach(t.Context(), spec.NIC, alpha); err != nil || seen.Device.Parent != c.on || seen.MAC != mac {
				t.Errorf("attached as %+v, %v", seen, err)
			}
			w.unplug(t, p, spec.NIC, alpha)
		})
	}
}

// TestACardNearTheProcessorsIsBetter, as long as it has a VF.
func TestACardNearTheProcessorsIsBetter(t *testing.T) {
	w := newWorld(1)
	w.cards[0].NUMA, w.cards[1].NUMA = 0, 1
	p := w.controller()
	for _, want := range []string{w.cards[1].PCI, w.cards[0].PCI} {
		spec := ask(either)
		spec.NUMA = new(1)
		if got := w.place(t, p, spec, alpha); got.Device.VF.PF != want || got.NUMA != nil {
			t.Errorf("for processors of node 1 was given %+v; want a VF of %s", got, want)
		}
	}
}

func TestAVFThatOthersHaveIsNotGiven(t *testing.T) {
	w := newWorld(2)
	w.cards[0].VFs[0].Used, w.cards[0].VFs[0].By = "joined", "bond0"
	p := w.controller()
	if vf := w.place(t, p, ask(one), alpha).Device.VF; vf.Index != 1 {
		t.Errorf("was given %+v", vf)
	}
	if _, err := p.Place(t.Context(), ask(one), w.node(alpha)); err == nil || !strings.Contains(err.Error(), "ens1f0 (0000:01:00.0) has 2: 1 given out, 1 used by others") {
		t.Errorf("of two VFs, one of which others have: %v", err)
	}
}

func TestJustReleasedIsTakenLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(3)
		p := w.controller()
		time.Sleep(time.Hour)
		index := func(spec nic.Spec) int { return spec.Device.VF.Index }
		first := w.plug(t, p, ask(one), alpha)
		w.unplug(t, p, first.NIC, alpha)
		var got []int
		for range 3 {
			got = append(got, index(w.plug(t, p, ask(one), alpha)))
		}
		if want := []int{1, 2, 0}; !slices.Equal(got, want) {
			t.Errorf("after VF 0 was given back, taken are %v; want %v", got, want)
		}
		if got := index(w.plug(t, p, ask(one), beta)); got != 0 {
			t.Errorf("VF %d of another node is taken; want 0, which was not given back there", got)
		}
	})
}

// TestFitsKeepsNothing: who asks whether there is a place takes none.
func TestFitsKeepsNothing(t *testing.T) {
	w := newWorld(1)
	p := w.controller()
	for range 3 {
		if err := p.Fits(t.Context(), ask(one), w.node(alpha)); err != nil {
			t.Fatal(err)
		}
	}
	w.ledger.WantEmpty(t, "asked")
	w.place(t, p, ask(one), alpha)
	if err := p.Fits(t.Context(), ask(one), w.node(alpha)); !errors.Is(err, provider.ErrExhausted) {
		t.Errorf("fits where there is none: %v", err)
	}
}

func TestLimitsCountVFs(t *testing.T) {
	w := newWorld(2)
	w.cards[1].VFs[1].Used = "up"
	w.nodes.SetCards(alpha.Instance, w.cards)
	p := w.controller()
	want := func(nics, free int) {
		t.Helper()
		for _, p := range []provider.Provider{p, w.controller()} {
			if l, err := p.Limits(t.Context(), alpha.Instance); err != nil || l.NICs != nics || l.Free != free || l.Slot != "VF" {
				t.Errorf("limits %+v, %v; want %d VFs, %d of them free", l, err, nics, free)
			}
		}
	}
	want(4, 3)
	spec := w.place(t, p, ask(bond), alpha)
	want(4, 3) // promises are the caller's to count
	if _, err := p.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	want(4, 3)
	if _, err := p.Attach(t.Context(), spec.NIC, alpha); err != nil {
		t.Fatal(err)
	}
	want(4, 1)
	w.unplug(t, p, spec.NIC, alpha)
	want(4, 3)
}
