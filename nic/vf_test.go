package nic_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/nic"
)

func TestVFFaultsAreToldAllAtOnce(t *testing.T) {
	t.Parallel()
	bad := nic.VF{
		PCI: "../../etc", PF: "0000:03:00.0", Index: -1, Name: "-f",
		Set: nic.VFSettings{
			MAC: nic.MAC{0x01, 0, 0x5e, 0, 0, 1}, VLAN: &nic.VFVLAN{ID: 4095, QoS: 8, Protocol: "802.1x"},
			Link: "up", Rate: &nic.VFRate{Min: 200, Max: 100},
		},
	}
	got := bad.Check()
	for _, want := range []string{
		`PCI address "../../etc"`, "VF number -1", `interface name "-f"`, "MAC 01:00:5e:00:00:01: is multicast", "VLAN 4095", "VLAN priority 8",
		`VLAN protocol "802.1x"`, `link "up"`, "the least, 200 Mbit/s, is above the most, 100",
	} {
		if got == nil || !strings.Contains(got.Error(), want) {
			t.Errorf("check: got\n%v\nwant in it %q", got, want)
		}
	}
	for name, set := range map[string]nic.VFSettings{
		"VLAN 4095: want 1 to 4094":    {VLAN: &nic.VFVLAN{ID: 4095}},
		"VLAN -1: want 1 to 4094":      {VLAN: &nic.VFVLAN{ID: -1}},
		"VLAN 0: want 1 to 4094":       {VLAN: &nic.VFVLAN{QoS: 1}},
		"VLAN 0: want 1 to 4094, or 0": {VLAN: &nic.VFVLAN{Protocol: nic.VLAN8021AD}},
		"rate -1 to 0 Mbit/s":          {Rate: &nic.VFRate{Min: -1}},
		"its own physical function":    {},
		"MAC ff:ff:ff:ff:ff:ff: is mu": {MAC: nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	} {
		v := nic.VF{PCI: "0000:03:10.0", PF: "0000:03:00.0", Set: set}
		if strings.HasPrefix(name, "its own") {
			v.PF = v.PCI
		}
		if err := v.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("check of %+v: got %v; want %q in it", set, err, name)
		}
	}
}

func TestGoodVFSurvivesJSON(t *testing.T) {
	t.Parallel()
	v := nic.VF{
		PCI: "0000:03:10.1", PF: "0000:03:00.0", Index: 62,
		Set: nic.VFSettings{
			MAC: nic.NewMAC(), VLAN: &nic.VFVLAN{ID: 4094, QoS: 7, Protocol: nic.VLAN8021AD},
			SpoofCheck: new(true), Trust: new(false), Link: nic.VFLinkAuto, Rate: &nic.VFRate{Max: 1000},
		},
		Was: nic.VFWas{Boot: "b", Settings: nic.VFSettings{VLAN: &nic.VFVLAN{}, Trust: new(true)}},
	}
	if err := v.Check(); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var again nic.VF
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, again); diff != "" {
		t.Errorf("through JSON (-was +is):\n%s", diff)
	}
}

func pair(mode nic.BondMode, mac nic.MAC) nic.Bond {
	set := nic.VFSettings{MAC: mac, SpoofCheck: new(true), Trust: new(false)}
	b := nic.Bond{Mode: mode, Members: []nic.VF{
		{PCI: "0000:03:10.0", PF: "0000:03:00.0", Set: set},
		{PCI: "0000:04:10.0", PF: "0000:04:00.0", Set: set},
	}}
	if !mode.OneMAC() {
		for i := range b.Members {
			b.Members[i].Set.SpoofCheck, b.Members[i].Set.Trust = new(false), new(true)
		}
		b.Members[1].Set.MAC = nic.NewMAC()
	}
	return b
}

func TestBondsThatWork(t *testing.T) {
	t.Parallel()
	mac := nic.NewMAC()
	for _, mode := range []nic.BondMode{nic.BondActiveBackup, nic.BondXOR, nic.BondRoundRobin, nic.BondTLB, nic.BondALB} {
		if err := pair(mode, mac).Check(mac); err != nil {
			t.Errorf("mode %s: %v", mode, err)
		}
	}
}

func TestBondsThatDoNotWork(t *testing.T) {
	t.Parallel()
	mac := nic.NewMAC()
	for want, spoil := range map[string]func(*nic.Bond){
		"both of PF 0000:03:00.0: when its cable is pulled": func(b *nic.Bond) { b.Members[1].PF = "0000:03:00.0" },
		"is a member twice":         func(b *nic.Bond) { b.Members[1] = b.Members[0] },
		"bond of 1 VFs: want 2":     func(b *nic.Bond) { b.Members = b.Members[:1] },
		"a VF cannot speak LACP":    func(b *nic.Bond) { b.Mode = nic.Bond8023AD },
		`bond mode "4"`:             func(b *nic.Bond) { b.Mode = "4" },
		"monitor 1ms: want 10ms":    func(b *nic.Bond) { b.Monitor = 1e6 },
		"each member has the bond'": func(b *nic.Bond) { b.Members[1].Set.MAC = nic.NewMAC() },
		"member 2: PCI address":     func(b *nic.Bond) { b.Members[1].PCI = "eth0" },
		"set trust on and spoof":    func(b *nic.Bond) { *b = pair(nic.BondALB, mac); b.Members[0].Set.SpoofCheck = new(true) },
		"in mode balance-tlb each has its own": func(b *nic.Bond) {
			*b = pair(nic.BondTLB, mac)
			b.Members[1].Set.MAC = mac
		},
	} {
		b := pair(nic.BondActiveBackup, mac)
		spoil(&b)
		if err := b.Check(mac); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q in it", err, want)
		}
	}
}
