package sriov

import "github.com/nicferry/nicferry/nic"

// None is a NUMA node or an IOMMU group that a device has not.
const None = -1

// A PF is a card that can be cut into VFs.
type PF struct {
	Address Address `json:"address"`
	// Name is its interface; empty where it has no driver, or the interface is in
	// another network namespace.
	Name   string  `json:"name,omitempty"`
	MAC    nic.MAC `json:"mac,omitzero"`
	Driver string  `json:"driver,omitempty"`
	// NUMA is the node of the processors that the card is next to, or None.
	NUMA int `json:"numa"`
	// Group is the IOMMU group, or None. Without one its VFs serve containers, and
	// neither virtual machines nor programs in user space.
	Group int  `json:"iommuGroup"`
	Link  Link `json:"link"`
	// Master is the bond or bridge that its interface is a port of; empty for none.
	Master string `json:"master,omitempty"`
	// TotalVFs is the most that the card can have; 0 where firmware lets it have none.
	TotalVFs int `json:"totalVFs"`
	// NumVFs is how many the card says that it has.
	NumVFs int `json:"numVFs"`
	// Autoprobe: VFs get their driver by themselves when they are made.
	Autoprobe bool `json:"autoprobe"`
	// Ours: nicferry made the VFs. Those of others are used and never removed.
	Ours bool `json:"ours"`
	// VFs are those that are there, by number.
	VFs []VF `json:"vfs,omitempty"`
}

// A VF is one part of a card.
type VF struct {
	PF Address `json:"pf"`
	// Index is the kernel's number of it, from 0.
	Index   int     `json:"index"`
	Address Address `json:"address"`
	// Name is its interface in this network namespace; empty if it has none here.
	Name   string  `json:"name,omitempty"`
	MAC    nic.MAC `json:"mac,omitzero"`
	Driver string  `json:"driver,omitempty"`
	NUMA   int     `json:"numa"`
	Group  int     `json:"iommuGroup"`
	Link   Link    `json:"link"`
	Use    Use     `json:"use"`
}

// A Link is the state of an interface.
type Link struct {
	// Up: somebody has switched it on.
	Up bool `json:"up"`
	// Carrier: there is something at the other end. It is told only while Up.
	Carrier bool `json:"carrier"`
	// Promisc: it takes frames that are not for it, which none of ours may.
	Promisc bool `json:"promisc,omitempty"`
	// Mbps is its speed; 0 where it is not known.
	Mbps int `json:"mbps,omitempty"`
	// MTU in bytes.
	MTU int `json:"mtu,omitempty"`
}

// Used says whether somebody has the VF, so that it may not be taken away or
// given to others.
type Used string

// The ways in which a VF is used.
const (
	Free Used = "free" // its interface is here, down, and below no other
	Bare Used = "bare" // it has no driver, and so no interface
	Up   Used = "up"   // its interface is here and was switched on
	// Joined: its interface is a port of a bond or bridge, or has others on it,
	// such as VLANs.
	Joined Used = "joined"
	// Elsewhere: its driver serves it and it has no interface here: another
	// network namespace has it, such as a container's.
	Elsewhere Used = "elsewhere"
	// UserSpace: it is bound to a driver that hands it to a virtual machine or
	// a program.
	UserSpace Used = "user-space"
)

// A Use is who has a VF.
type Use struct {
	How Used `json:"how"`
	// By names who, as far as that can be seen.
	By string `json:"by,omitempty"`
}

// Busy says whether removing the VF would take it from somebody.
func (u Use) Busy() bool { return u.How != Free && u.How != Bare }

// String is for people, such as "in use by bond0".
func (u Use) String() string {
	switch {
	case u.How == Bare:
		return "without a driver"
	case u.How == Up:
		return "switched on"
	case !u.Busy():
		return string(u.How)
	case u.By == "" && u.How == Elsewhere:
		return "in use in another network namespace"
	case u.By == "":
		return "in use"
	}
	return "in use by " + u.By
}

// Label is the interface's name where it has one here, with the PCI address.
func (p PF) Label() string { return label(p.Name, p.Address) }

// Label is the interface's name where it has one here, with the PCI address.
func (v VF) Label() string { return label(v.Name, v.Address) }

func label(name string, a Address) string {
	if name == "" {
		return string(a)
	}
	return name + " (" + string(a) + ")"
}
