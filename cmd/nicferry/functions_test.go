package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// A network of VFs says which, and how they are set; a NIC says which it is made of.
func TestDescribeFunctions(t *testing.T) {
	t.Parallel()
	set := nic.VFSettings{VLAN: &nic.VFVLAN{ID: 100, QoS: 3, Protocol: nic.VLAN8021AD}, SpoofCheck: new(true), Trust: new(false), Link: nic.VFLinkOn, Rate: &nic.VFRate{Max: 1000}}
	const told = "VLAN: 100, priority 3, 802.1ad Spoof check: on Trust: off Link: enable Rate: 0 to 1000 Mbit/s, 0 for no bound"
	bare := nic.VF{PCI: "0000:03:10.2", PF: "0000:03:00.0", Name: "VF13", Index: 2, Set: nic.VFSettings{VLAN: &nic.VFVLAN{}}}
	vf := nic.VF{PCI: "0000:03:10.0", PF: "0000:03:00.0", Name: "VF11", Set: set}
	other := nic.VF{PCI: "0000:04:10.0", PF: "0000:04:00.0", Index: 1}
	made := func(f nic.Functions) thing {
		return newNetwork(api.NetworkView{Network: nic.Network{Name: "dmz", Functions: f}})
	}
	nicOf := func(d nic.Device) thing {
		return card{api.NICView{NIC: nic.NIC{ID: "nic-1", Spec: nic.Spec{Device: d}}}}
	}
	for _, c := range []struct {
		thing        thing
		column, want string
	}{
		{made(nic.Functions{PFs: [][]string{{"ens1f0", "ens1f1#0-3"}}, Set: set}), "vf", "VFs: Of: ens1f0, ens1f1#0-3 " + told + " Fallback: none: containers wait for a VF"},
		{made(nic.Functions{PFs: [][]string{{"a"}}, Fallback: []nic.DeviceKind{nic.Macvlan, nic.Ipvlan}}), "vf", "Of: a Fallback: macvlan, ipvlan"},
		{made(nic.Functions{PFs: [][]string{{"a"}}, UserSpace: true}), "vf (user space)", "Of: a For: programs that drive them: nicferry run"},
		{made(nic.Functions{PFs: [][]string{{"a"}, {"b"}}, Bond: nic.BondALB}), "bond", "Member 1 of: a Member 2 of: b Bond: balance-alb"},
		{nicOf(nic.Device{Kind: nic.SRIOV, VF: vf}), "", "VF: VF11, 0000:03:10.0, number 0 of 0000:03:00.0 " + told},
		{nicOf(nic.Device{Kind: nic.SRIOV, VF: bare}), "", "number 2 of 0000:03:00.0 VLAN: none"},
		{
			nicOf(nic.Device{Kind: nic.Bonded, Bond: nic.Bond{Mode: nic.BondXOR, Members: []nic.VF{vf, other}}}), "",
			"Bond: balance-xor VF: VF11, 0000:03:10.0, number 0 of 0000:03:00.0 VF: -, 0000:04:10.0, number 1 of 0000:04:00.0 VLAN: 100",
		},
		{made(nic.Functions{}), "", "Name"},
	} {
		got := strings.Join(strings.Fields(described(t, c.thing, time.Time{})), " ")
		if c.want == "Name" && strings.Contains(got, "VF") || c.want != "Name" && !strings.Contains(got, c.want) {
			t.Errorf("got %s\nwant %s", got, c.want)
		}
		if n, ok := c.thing.(network); ok && madeAs(n.Network) != c.column {
			t.Errorf("made as %q, want %q", madeAs(n.Network), c.column)
		}
	}
}
