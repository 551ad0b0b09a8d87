package sriov

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/made"
	"github.com/nicferry/nicferry/sriov"
)

// An ask is a spec that leaves open which VFs, as far as it is understood.
type ask struct {
	spec  nic.Spec
	sides [][]sriov.Selector
	// set is what the cards set of the first VF, and of all where they share a MAC.
	set nic.VFSettings
}

// failedVFs is how many VFs its NICs were made of in vain.
func (a ask) failedVFs() int {
	return len(slices.DeleteFunc(slices.Clone(a.spec.Failed), nic.IsOnCard))
}

// understand reads a spec, or tells all that is wrong with it.
func understand(spec nic.Spec) (ask, error) {
	faults := made.Check(spec)
	f := spec.Functions
	if spec.Device.Kind != "" {
		faults.Add("device.kind", "%q is chosen by the provider, and is given besides functions", spec.Device.Kind)
	}
	if spec.Port != (nic.Port{}) {
		faults.Add("port", "is for NICs that a hypervisor plugs in; this one is a VF of the node's card")
	}
	a := ask{spec: spec, sides: readSides(&faults, f), set: settings(f.Set, spec.MAC)}
	checkMembers(&faults, f, a.sides)
	if !f.Set.MAC.IsZero() {
		faults.Add("functions.set.mac", "%s: is the claim's own, and none is set for all", f.Set.MAC)
	}
	for _, problem := range lines(f.Set.Check()) {
		faults.Add("functions.set", "%s", problem)
	}
	for i, kind := range f.Fallback {
		if kind != nic.Macvlan && kind != nic.Ipvlan {
			faults.Add(fmt.Sprintf("functions.fallback[%d]", i), "%q: want %s or %s", kind, nic.Macvlan, nic.Ipvlan)
		}
	}
	return a, made.Invalid(faults)
}

func readSides(faults *nic.Faults, f nic.Functions) [][]sriov.Selector {
	if n := len(f.PFs); n < 1 || n > 2 {
		faults.Add("functions.pfs", "%d lists: want one for a VF, and two for a bond", n)
	}
	sides := make([][]sriov.Selector, len(f.PFs))
	for i, words := range f.PFs {
		if len(words) == 0 {
			faults.Add(fmt.Sprintf("functions.pfs[%d]", i), "is empty: want a card at least, such as ens1f0")
		}
		for j, word := range words {
			sel, err := sriov.ParseSelector(word)
			faults.AddErr(fmt.Sprintf("functions.pfs[%d][%d]", i, j), err)
			sides[i] = append(sides[i], sel)
		}
	}
	return sides
}

// checkMembers wants a mode for a bond, and of its members that they can be of two
// cards, as far as that can be said before there is a node.
func checkMembers(faults *nic.Faults, f nic.Functions, sides [][]sriov.Selector) {
	switch {
	case f.Bond == "" && len(sides) == 2:
		faults.Add("functions.bond", "is missing: want the mode of the bond over both lists of functions.pfs, such as %s", nic.BondActiveBackup)
	case f.Bond != "" && len(sides) == 1:
		faults.Add("functions.bond", "%s: a bond is over two cards; want two lists in functions.pfs", f.Bond)
	}
	if f.Bond != "" {
		faults.AddErr("functions.bond", f.Bond.Check())
	}
	if f.UserSpace && f.Bond != "" {
		faults.Add("functions.userSpace", "the kernel makes bonds of interfaces, and a program that drives its VFs itself has none")
	}
	if len(sides) == 2 && len(sides[0]) == 1 && len(sides[1]) == 1 {
		a, b := sides[0][0].PF, sides[1][0].PF
		if a == b && a != "" && !strings.ContainsAny(a, "*?") {
			faults.Add("functions.pfs", "both lists are %s: when its cable is pulled the bond is dead; take VFs of two cards, on two switches", a)
		}
	}
}

// lines are the faults that an error consists of.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// settings are what the card sets of a VF with that MAC. What a container may do
// that has a VF is never left to whoever had it before.
func settings(set nic.VFSettings, mac nic.MAC) nic.VFSettings {
	set.MAC = mac
	if set.VLAN == nil {
		set.VLAN = &nic.VFVLAN{}
	}
	if set.SpoofCheck == nil {
		set.SpoofCheck = new(true)
	}
	if set.Trust == nil {
		set.Trust = new(false)
	}
	return set
}

// checkPlaced refuses a chosen NIC that no node could make.
func checkPlaced(faults *nic.Faults, spec nic.Spec) {
	faults.AddErr("node", nic.CheckName("node", spec.Node))
	if !spec.Functions.IsZero() {
		faults.Add("functions", "say which VFs may be taken, and none has been: a spec is to be placed first")
	}
	d := spec.Device
	switch d.Kind {
	case nic.SRIOV:
		for _, problem := range lines(d.VF.Check()) {
			faults.Add("device.vf", "%s", problem)
		}
		if d.VF.Set.MAC != spec.MAC {
			faults.Add("device.vf.set.mac", "%q differs from the spec's %s", d.VF.Set.MAC, spec.MAC)
		}
	case nic.Bonded:
		for _, problem := range lines(d.Bond.Check(spec.MAC)) {
			faults.Add("device.bond", "%s", problem)
		}
	case nic.Macvlan, nic.Ipvlan:
		faults.AddErr("device.parent", nic.CheckInterfaceName(d.Parent))
		if d.Kind == nic.Ipvlan && d.MAC.IsZero() {
			faults.Add("device.mac", "is missing: an ipvlan has its parent's")
		}
	default:
		faults.Add("device.kind", "%q: of its cards a node can make %s or %s, and instead of them %s or %s", d.Kind, nic.SRIOV, nic.Bonded, nic.Macvlan, nic.Ipvlan)
	}
}
