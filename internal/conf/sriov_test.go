package conf

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/nic"
)

// sriovFile is a config of one network of VFs, with what the section says.
func sriovFile(section string) []byte {
	return []byte("version: 1\nproviders: [{name: cards, kind: sriov}]\nnetworks:\n  - {name: dmz, provider: cards, addressing: dhcp, sriov: " + section + "}\n")
}

// S0-5, S0-6, S0-8: what a section asks of cards.
func TestSRIOV(t *testing.T) {
	t.Parallel()
	safe := nic.VFSettings{SpoofCheck: new(true), Trust: new(false)}
	for section, want := range map[string]nic.Functions{
		"{pfs: [ens1f0]}": {PFs: [][]string{{"ens1f0"}}, Set: safe},
		`{pfs: [ens1f*, "03:00.0#6,0-3"], vlan: 100, spoofCheck: on, trust: off, rate: {}}`: {
			PFs: [][]string{{"ens1f*", "0000:03:00.0#0-3,6"}},
			Set: nic.VFSettings{VLAN: &nic.VFVLAN{ID: 100}, SpoofCheck: new(true), Trust: new(false)},
		},
		"{pfs: [a], vlan: 4094, qos: 7, protocol: 802.1ad, spoofCheck: false, trust: true, link: disable, rate: {min: 10, max: 100}}": {
			PFs: [][]string{{"a"}},
			Set: nic.VFSettings{
				VLAN: &nic.VFVLAN{ID: 4094, QoS: 7, Protocol: nic.VLAN8021AD}, SpoofCheck: new(false), Trust: new(true),
				Link: nic.VFLinkOff, Rate: &nic.VFRate{Min: 10, Max: 100},
			},
		},
		"{bond: {a: [ens1f0], b: [ens2f0]}, vlan: 1, protocol: 802.1Q}": {
			PFs: [][]string{{"ens1f0"}, {"ens2f0"}}, Bond: nic.BondActiveBackup, Monitor: nic.Duration(100 * time.Millisecond),
			Set: nic.VFSettings{VLAN: &nic.VFVLAN{ID: 1}, SpoofCheck: new(true), Trust: new(false)},
		},
		"{bond: {mode: balance-alb, a: ['ens*'], b: ['ens*'], monitor: 50ms}, spoofCheck: off, trust: on}": { // which are two in any case
			PFs: [][]string{{"ens*"}, {"ens*"}}, Bond: nic.BondALB, Monitor: nic.Duration(50 * time.Millisecond),
			Set: nic.VFSettings{SpoofCheck: new(false), Trust: new(true)},
		},
		"{pfs: [a], fallback: [macvlan, refuse]}": {PFs: [][]string{{"a"}}, Set: safe, Fallback: []nic.DeviceKind{nic.Macvlan}},
		"{pfs: [a], fallback: [refuse]}":          {PFs: [][]string{{"a"}}, Set: safe},
		"{pfs: [a], mode: netdev, fallback: []}":  {PFs: [][]string{{"a"}}, Set: safe},
	} {
		c, err := ParseController("f", sriovFile(section))
		if err != nil {
			t.Errorf("%s: %v", section, err)
			continue
		}
		if diff := cmp.Diff(want, c.Networks[0].Functions); diff != "" || c.Networks[0].Device.Kind != "" {
			t.Errorf("%s (-want +got):\n%s", section, diff)
		}
		if err := c.Networks[0].Functions.Set.Check(); err != nil {
			t.Errorf("%s: the node refuses it: %v", section, err)
		}
	}
}

// A program of the container's drives the VF, and its address is ours to reserve.
func TestSRIOVForUserSpace(t *testing.T) {
	t.Parallel()
	file := strings.Replace(string(sriovFile("{pfs: [a], mode: vfio, fallback: [refuse]}")), "addressing: dhcp",
		"addressing: ipam, subnets: [{prefix: 10.0.0.0/24, ranges: [10.0.0.10-10.0.0.99]}]", 1)
	c, err := ParseController("f", []byte(file))
	if err != nil || !c.Networks[0].Functions.UserSpace || c.Networks[0].Functions.Fallback != nil {
		t.Errorf("%+v, %v", c, err)
	}
	if got, ok := c.Instances("web1"); !ok || fmt.Sprint(got) != "map[cards:web1]" {
		t.Errorf("a node of a provider of cards is %v", got)
	}
}

// The most that is allowed is no fault, and one more is.
func TestSRIOVLimits(t *testing.T) {
	t.Parallel()
	for good, bad := range map[string]string{
		"pfs: [a], vlan: 4094":                                                  "pfs: [a], vlan: 4095",
		"pfs: [a], vlan: 1, qos: 7":                                             "pfs: [a], vlan: 1, qos: 8",
		"pfs: [a], rate: {min: 5, max: 5}":                                      "pfs: [a], rate: {min: 6, max: 5}",
		"pfs: [a], rate: {min: 5}":                                              "pfs: [a], rate: {min: 5, max: -1}",
		"bond: {a: [a], b: [b], monitor: 10ms}":                                 "bond: {a: [a], b: [b], monitor: 9ms}",
		"bond: {a: [a], b: [b], monitor: 10s}":                                  "bond: {a: [a], b: [b], monitor: 11s}",
		"bond: {a: [a], b: [a, b]}":                                             "bond: {a: [a], b: [a]}",
		"bond: {a: ['a#3-5'], b: ['b#5']}":                                      "bond: {a: ['a#3-5'], b: ['b#6']}",
		"bond: {mode: balance-tlb, a: [a], b: [b]}, trust: on, spoofCheck: off": "bond: {mode: balance-tlb, a: [a], b: [b]}, trust: on",
		"bond: {mode: balance-xor, a: [a], b: [b]}":                             "bond: {mode: balance-xors, a: [a], b: [b]}",
		"pfs: ['a#0-3', 'a#4']":                                                 "pfs: ['a#0-3', 'a#3']",
		"pfs: ['a#65534']":                                                      "pfs: ['a#65535']",
		"pfs: [a], fallback: [macvlan]":                                         "pfs: [a], fallback: [ipvlan]", // by DHCP
		"pfs: [a], vlan: 7, fallback: [refuse]":                                 "pfs: [a], vlan: 7, fallback: [macvlan]",
		"pfs: [a]}, pool: {max: 0":                                              "pfs: [a]}, pool: {max: 1",
		"pfs: ['a#0-3']}}\n  - {name: b, provider: cards, addressing: dhcp, sriov: {pfs: ['a#4-6']": "pfs: ['a#0-3']}}\n  - {name: b, provider: cards, addressing: dhcp, sriov: {pfs: ['a#3-6']",
	} {
		if _, err := ParseController("f", sriovFile("{"+good+"}")); err != nil {
			t.Errorf("%s: %v", good, err)
		}
		if _, err := ParseController("f", sriovFile("{"+bad+"}")); err == nil {
			t.Errorf("%s: no fault", bad)
		}
	}
}
