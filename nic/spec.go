package nic

import "net/netip"

// A Spec is what a provider is asked to create. When Create sees it, it is
// fully placed: every choice is made and stored, so that asking twice is
// asking for the same NIC.
type Spec struct {
	NIC     ID     `json:"nic"`
	Network string `json:"network"`
	Tenant  string `json:"tenant"`
	// Node is the machine that the NIC is meant for.
	Node string `json:"node"`
	// MAC is the allocator's draw; zero where the provider draws it.
	MAC MAC `json:"mac,omitzero"`
	// Addrs are asked of the provider; empty where it has no say in them.
	Addrs []netip.Addr `json:"addrs,omitempty"`
	MTU   int          `json:"mtu,omitempty"`
	// Device is the shape of a NIC that the node makes; zero elsewhere.
	Device Device `json:"device,omitzero"`
	// Port is how a hypervisor plugs the NIC in; zero elsewhere.
	Port Port `json:"port,omitzero"`
	// Cloud is where a cloud makes the NIC; zero elsewhere.
	Cloud CloudSpec `json:"cloud,omitzero"`
	// Functions are the VFs that may be taken; zero once they are chosen, which Device
	// then says.
	Functions Functions `json:"functions,omitzero"`
	// NUMA is as in Request: a card next to those processors is better than others. Nil
	// once the choice is made.
	NUMA *int `json:"numa,omitempty"`
	// Failed are the PCI addresses of VFs, and the links on cards by Device.OnCard, that the node could lately not make a NIC of for
	// its claim, NIC by NIC: others are better, and in the end what is given instead of
	// VFs. Nil once the choice is made.
	Failed []string `json:"failed,omitempty"`
}

// A Place is where a NIC is, or shall be, plugged.
type Place struct {
	Node     string     `json:"node"`
	Instance InstanceID `json:"instance"`
}

// Seen is what a provider last said of a NIC. We store it and never edit it.
type Seen struct {
	NIC ID `json:"nic"`
	// ProviderID is the provider's own id, such as eni-0123.
	ProviderID string       `json:"providerId,omitempty"`
	State      State        `json:"state"`
	Place      Place        `json:"place,omitzero"`
	MAC        MAC          `json:"mac,omitzero"`
	Addrs      []netip.Addr `json:"addrs,omitempty"`
	// Subnets are those that Addrs are from, with their gateways, where the
	// provider knows: then it says them with Addrs, always. The network's own go
	// before, where it has any.
	Subnets []Subnet `json:"subnets,omitempty"`
	// Subnet is the cloud's id of the one that the NIC was made in; empty elsewhere.
	Subnet string `json:"subnet,omitempty"`
	// Device is the recipe for the node; known from attached on.
	Device Device `json:"device,omitzero"`
	// Bus is where the guest finds the device, such as 0000:05:00.0; for
	// people, and empty where the provider does not know.
	Bus string `json:"bus,omitempty"`
	// Reason is the provider's word for a failed state.
	Reason string `json:"reason,omitempty"`
}
