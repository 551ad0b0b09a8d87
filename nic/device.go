package nic

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
)

// Made says whether the node makes such a NIC, so that it also removes it.
func (k DeviceKind) Made() bool { return k == Veth || k == Macvlan || k == Ipvlan }

// OwnMAC says whether the node gives such a NIC its MAC. A found one is born with
// it, and an ipvlan has its parent's and no other.
func (k DeviceKind) OwnMAC() bool { return k == Veth || k == Macvlan }

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
	// MTU in bytes. 0 is the kernel's for Ethernet, 1500, and for a macvlan or
	// an ipvlan its parent's; a found NIC that is born with another must say so here.
	MTU int `json:"mtu,omitempty"`
	// Bridge is the switch of a veth.
	Bridge Bridge `json:"bridge,omitzero"`
	// Parent is the host interface under a macvlan.
	Parent string `json:"parent,omitempty"`
}

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
