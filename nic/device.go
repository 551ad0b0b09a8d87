package nic

import "strings"

// DeviceKind says how a node comes to have a NIC.
type DeviceKind string

// The kinds of recipe. Found NICs are plugged by a cloud or a hypervisor and
// the agent waits for them; all others the agent makes itself.
const (
	Found   DeviceKind = "found"
	Veth    DeviceKind = "veth"
	Macvlan DeviceKind = "macvlan"
	// Ipvlan is a seat on a NIC that a cloud plugs in, its parent. That stays in
	// the host's namespace; each seat carries some of its addresses, and all have
	// its MAC.
	Ipvlan DeviceKind = "ipvlan"
	// VLAN is a member of a trunk that a cloud plugs in: what has its tag on the
	// trunk's wire. The trunk stays in the host's namespace. Unlike a seat it has a MAC
	// of its own.
	VLAN DeviceKind = "vlan"
	// SRIOV is a virtual function, which the node's card has and nobody plugs in.
	SRIOV DeviceKind = "vf"
	// Bonded is several of them, of as many PFs, as one NIC.
	Bonded DeviceKind = "bond"
)

// Made says whether the node makes such a NIC, so that it also removes it. Of
// virtual functions it makes the settings, and takes those back.
func (k DeviceKind) Made() bool {
	return k == Veth || k == Macvlan || k == Ipvlan || k == VLAN || k.Functions()
}

// Functions says whether the NIC consists of virtual functions: hardware that
// outlives its containers and comes home when one dies.
func (k DeviceKind) Functions() bool { return k == SRIOV || k == Bonded }

// OwnMAC says whether the node gives such a NIC its MAC by the NIC itself. A found
// one is born with it, an ipvlan has its parent's and no other, and virtual
// functions have theirs from their physical ones.
func (k DeviceKind) OwnMAC() bool { return k == Veth || k == Macvlan || k == VLAN }

// A Device is the recipe for a NIC on its node. The provider fills it in Seen
// and the controller copies it into what it wants of the node. Making and
// removing by a recipe are idempotent; taking a NIC back resets it to these
// values.
type Device struct {
	Kind DeviceKind `json:"kind"`
	// MAC identifies the NIC together with what it is plugged into. Names and
	// indexes do not: containers rename, and kernels reuse. An ipvlan's is that
	// of its parent, which is found by it; seats are told apart by their NIC's id.
	MAC MAC `json:"mac,omitzero"`
	// MTU in bytes. 0 is the kernel's for Ethernet, 1500, and for a macvlan, an
	// ipvlan or a VLAN its parent's; a found NIC that is born with another must say so here.
	MTU int `json:"mtu,omitempty"`
	// Bridge is the switch of a veth.
	Bridge Bridge `json:"bridge,omitzero"`
	// Parent is the host interface under a macvlan, or under an ipvlan that is no seat:
	// one of the host's own, which stays as it is.
	Parent string `json:"parent,omitempty"`
	// Trunk is the MAC of the NIC that a VLAN is on, and Tag its number there, 1 to 4094.
	// The number is the trunk's to give, and another one each time that the NIC is plugged in.
	Trunk MAC `json:"trunk,omitzero"`
	Tag   int `json:"tag,omitempty"`
	// VF is the virtual function of a NIC of kind SRIOV.
	VF VF `json:"vf,omitzero"`
	// Bond is what one of kind Bonded is made of.
	Bond Bond `json:"bond,omitzero"`
}

// Plugged is the MAC by which the node finds what a cloud or a hypervisor plugs in for
// the NIC: the NIC itself, or what a seat or a VLAN is on.
func (d Device) Plugged() MAC {
	if d.Kind == VLAN {
		return d.Trunk
	}
	return d.MAC
}

// OnCard names the link that a recipe makes on one of the host's own, such as
// "macvlan/ens1f0". No VF's address reads like that.
func (d Device) OnCard() string { return string(d.Kind) + "/" + d.Parent }

// IsOnCard says whether a word is OnCard's, and not a VF's address.
func IsOnCard(word string) bool { return strings.Contains(word, "/") }

// A Bridge is a Linux bridge on the node.
type Bridge struct {
	Name string `json:"name"`
	// Owned: nicferry makes it with the first NIC on the node and removes it
	// with the last. A bridge that is not owned must be there already.
	Owned bool `json:"owned,omitempty"`
	// Uplinks are host interfaces that an owned bridge takes as ports when it
	// is made, and lets go when it is removed.
	Uplinks []string `json:"uplinks,omitempty"`
}
