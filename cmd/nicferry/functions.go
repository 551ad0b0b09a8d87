package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// madeAs is how a network's NICs come to a node, in a word.
func madeAs(n nic.Network) string {
	switch f := n.Functions; {
	case f.IsZero():
		return string(n.Device.Kind)
	case f.UserSpace:
		return "vf (user space)"
	case f.Bond != "":
		return string(nic.Bonded)
	}
	return string(nic.SRIOV)
}

// functions adds which VFs a network's containers get.
func (s *sheet) functions(f nic.Functions) {
	if f.IsZero() {
		return
	}
	s.section("VFs")
	for i, side := range f.PFs {
		name := "Of"
		if len(f.PFs) > 1 {
			name = fmt.Sprintf("Member %d of", i+1)
		}
		s.field(name, strings.Join(side, ", "))
	}
	s.field("Bond", string(f.Bond))
	if f.UserSpace {
		s.field("For", "programs that drive them: nicferry run")
	}
	s.settings(f.Set)
	var fallback []string
	for _, kind := range f.Fallback {
		fallback = append(fallback, string(kind))
	}
	s.field("Fallback", cmp.Or(strings.Join(fallback, ", "), "none: containers wait for a VF"))
}

// settings adds what PFs set of VFs. What is left as it is says nothing.
func (s *sheet) settings(set nic.VFSettings) {
	if v := set.VLAN; v != nil {
		vlan := "none"
		if v.Tags() {
			vlan = fmt.Sprint(v.ID)
		}
		if v.QoS > 0 {
			vlan += fmt.Sprintf(", priority %d", v.QoS)
		}
		if v.Protocol != "" {
			vlan += ", " + v.Protocol
		}
		s.field("VLAN", vlan)
	}
	onOff := func(name string, is *bool) {
		if is != nil {
			s.field(name, map[bool]string{true: "on", false: "off"}[*is])
		}
	}
	onOff("Spoof check", set.SpoofCheck)
	onOff("Trust", set.Trust)
	s.field("Link", string(set.Link))
	if r := set.Rate; r != nil {
		s.field("Rate", fmt.Sprintf("%d to %d Mbit/s, 0 for no bound", r.Min, r.Max))
	}
}

// vfs adds the VFs that a NIC is made of.
func (s *sheet) vfs(d nic.Device) {
	members := d.Bond.Members
	if d.Kind == nic.SRIOV {
		members = []nic.VF{d.VF}
	}
	if d.Kind == nic.Bonded {
		s.field("Bond", string(d.Bond.Mode))
	}
	for _, v := range members {
		s.field("VF", fmt.Sprintf("%s, %s, number %d of %s", orDash(v.Name), v.PCI, v.Index, v.PF))
	}
	if len(members) > 0 {
		s.settings(members[0].Set)
	}
}
