package nic

import (
	"errors"
	"fmt"
	"regexp"
)

// A VF is a virtual function of one of the node's cards, and what the card's
// physical function is to set of it.
type VF struct {
	// PCI is its address, such as 0000:03:10.1. It identifies the VF: no container
	// can change it, whatever it does to names and MACs.
	PCI string `json:"pci"`
	// PF is the address of the physical function, and Index the VF's number
	// there, from 0.
	PF    string `json:"pf"`
	Index int    `json:"index"`
	// Name is its interface's on the host, whenever no container has it; empty is one
	// that the node makes up.
	Name string `json:"name,omitempty"`
	// Set is what the PF is to set. What is unset is as it was before nicferry came.
	Set VFSettings `json:"set,omitzero"`
	// UserSpace: it is bound to vfio-pci while a container has it, whose program drives
	// it. It has no interface then.
	UserSpace bool `json:"userSpace,omitempty"`
	// Was is how the VF was set before nicferry came. The node tells it, the
	// controller keeps it in the recipe, and nothing is set before it is there.
	Was VFWas `json:"was,omitzero"`
}

// VFWas is how a VF was set before.
type VFWas struct {
	// Boot is the id of the node's boot that it was read in. A boot resets cards:
	// what was before it is not restored.
	Boot     string     `json:"boot"`
	Settings VFSettings `json:"settings,omitzero"`
	// Driver is what served it, where it is to be handed to user space; else nil.
	Driver *VFDriver `json:"driver,omitempty"`
}

// A VFDriver is the driver that serves a VF.
type VFDriver struct {
	Name string `json:"name,omitempty"` // empty is none
	// Override is the only driver that may be bound to it; empty is whichever
	// knows the card.
	Override string `json:"override,omitempty"`
}

// VFSettings are what a PF sets of a VF. A pointer that is nil, an empty word or a
// zero MAC is not to be set, or not told by the driver; read back, a zero MAC is
// also one that the VF draws itself.
type VFSettings struct {
	MAC  MAC     `json:"mac,omitzero"`
	VLAN *VFVLAN `json:"vlan,omitempty"`
	// SpoofCheck: frames with another source MAC or a VLAN tag do not leave. IP
	// addresses, and what is in ARP, RA and DHCP, it does not look at.
	SpoofCheck *bool `json:"spoofCheck,omitempty"`
	// Trust: the VF may change its MAC and listen to what is not for it.
	Trust *bool   `json:"trust,omitempty"`
	Link  VFLink  `json:"link,omitempty"`
	Rate  *VFRate `json:"rate,omitempty"`
}

// A VFVLAN is the tag that the card puts on frames of a VF, unseen by it. The zero
// VFVLAN takes away the tag of whoever had the VF before.
type VFVLAN struct {
	ID  int `json:"id"`            // 1 to 4094; 0 is no tag
	QoS int `json:"qos,omitempty"` // priority, 0 to 7
	// Protocol is VLAN8021AD for a service tag; empty is 802.1Q.
	Protocol string `json:"protocol,omitempty"`
}

// Tags says whether frames get a tag. nil, which leaves it as it is, is not known to.
func (v *VFVLAN) Tags() bool { return v != nil && v.ID != 0 }

// VLAN8021AD is the protocol of a service tag.
const VLAN8021AD = "802.1ad"

// VFLink is what a VF sees of the wire.
type VFLink string

// The states of a VF's link.
const (
	VFLinkAuto VFLink = "auto"    // as the PF's
	VFLinkOn   VFLink = "enable"  // always up, also between VFs alone
	VFLinkOff  VFLink = "disable" // always down
)

// A VFRate bounds what a VF sends, in Mbit/s; 0 is no bound.
type VFRate struct {
	Min int `json:"min,omitempty"`
	Max int `json:"max,omitempty"`
}

// pciAddress is how Linux writes one: it becomes part of paths below /sys.
var pciAddress = regexp.MustCompile(`^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$`)

// CheckPCI allows an address of a PCI function as Linux writes it, with its domain.
func CheckPCI(s string) error {
	if !pciAddress.MatchString(s) {
		return fmt.Errorf("PCI address %s: want domain, bus, device and function such as 0000:03:10.1", clip(s))
	}
	return nil
}

// maxVFIndex is the last VF that the PCI standard can number.
const maxVFIndex = 1<<16 - 2

// Check tells all that is wrong with a VF of a recipe.
func (v VF) Check() error {
	faults := []error{CheckPCI(v.PCI), CheckPCI(v.PF)}
	if v.PCI == v.PF && v.PCI != "" {
		faults = append(faults, fmt.Errorf("VF %s: is its own physical function", v.PCI))
	}
	if v.Index < 0 || v.Index > maxVFIndex {
		faults = append(faults, fmt.Errorf("VF number %d: want 0 to %d", v.Index, maxVFIndex))
	}
	if v.Name != "" {
		faults = append(faults, CheckInterfaceName(v.Name))
	}
	return errors.Join(append(faults, v.Set.Check())...)
}

// Check tells all that is wrong with settings that are to be made.
func (s VFSettings) Check() error {
	var faults []error
	if s.MAC[0]&1 == 1 {
		faults = append(faults, fmt.Errorf("MAC %s: is multicast (odd first byte); a VF needs a unicast address", s.MAC))
	}
	if s.VLAN != nil {
		faults = append(faults, s.VLAN.check())
	}
	switch s.Link {
	case "", VFLinkAuto, VFLinkOn, VFLinkOff:
	default:
		faults = append(faults, fmt.Errorf("link %s: want %s, %s or %s", clip(string(s.Link)), VFLinkAuto, VFLinkOn, VFLinkOff))
	}
	if r := s.Rate; r != nil {
		if r.Min < 0 || r.Max < 0 {
			faults = append(faults, fmt.Errorf("rate %d to %d Mbit/s: below zero; 0 is no bound", r.Min, r.Max))
		}
		if r.Max > 0 && r.Min > r.Max {
			faults = append(faults, fmt.Errorf("rate: the least, %d Mbit/s, is above the most, %d", r.Min, r.Max))
		}
	}
	return errors.Join(faults...)
}

func (v VFVLAN) check() error {
	if v == (VFVLAN{}) {
		return nil // no tag
	}
	var faults []error
	if v.ID < 1 || v.ID > 4094 {
		faults = append(faults, fmt.Errorf("VLAN %d: want 1 to 4094, or 0 without priority and protocol for no tag", v.ID))
	}
	if v.QoS < 0 || v.QoS > 7 {
		faults = append(faults, fmt.Errorf("VLAN priority %d: want 0 to 7", v.QoS))
	}
	if v.Protocol != "" && v.Protocol != VLAN8021AD {
		faults = append(faults, fmt.Errorf("VLAN protocol %s: want %s, or none for 802.1Q", clip(v.Protocol), VLAN8021AD))
	}
	return errors.Join(faults...)
}
