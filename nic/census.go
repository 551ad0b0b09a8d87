package nic

// A Census is what a node has of nicferry's in one look at its kernel and its
// container engine, whatever was said before. What an agent reports of a NIC
// is its last act; the census is what is there.
type Census struct {
	// Revision is that of the wanted list which the node had read by then.
	Revision uint64 `json:"revision"`
	// NICs are the wanted ones that are on the node, wherever on it.
	NICs []ID `json:"nics"`
	// Containers are those of the wanted list that the engine knows, and all others
	// that it knows and that ask for NICs: some have given theirs away.
	Containers []string `json:"containers"`
	// Strays are the links that look like ours and are no wanted NIC's.
	Strays []Stray `json:"strays"`
}

// A Stray is a link in a node's host namespace that looks like ours and is no
// wanted NIC's.
type Stray struct {
	Link string `json:"link"`
	// Kind is the driver's word, such as veth; empty for hardware.
	Kind string `json:"kind,omitempty"`
	MAC  MAC    `json:"mac,omitzero"`
	// NIC is whose mark the link carries. Without one it has no more than a
	// name or a MAC like ours, and is not ours to touch.
	NIC ID `json:"nic,omitempty"`
	// Bridge is what the link is a port of, Parent what it is a macvlan, ipvlan or VLAN on.
	Bridge string `json:"bridge,omitempty"`
	Parent string `json:"parent,omitempty"`
}
