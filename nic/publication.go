package nic

import (
	"net/netip"
	"time"
)

// A Publication is our durable record of a claim's public address. It is there
// before the provider is asked for the address, and until the provider has it back,
// whatever has become of the claim by then: an address that nobody knows of costs
// money.
type Publication struct {
	Schema int     `json:"schema"`
	Claim  ClaimID `json:"claim"`
	Tenant string  `json:"tenant,omitempty"`
	// Provider is whose address it is.
	Provider string `json:"provider"`
	// Container, Network and Node are the claim's when it was asked for; for people.
	Container string `json:"container,omitempty"`
	Network   string `json:"network,omitempty"`
	Node      string `json:"node,omitempty"`
	// Addr is the address, and NIC what it leads to, by the provider's last word. Both
	// are zero before the first.
	Addr netip.Addr `json:"addr,omitzero"`
	NIC  ID         `json:"nic,omitempty"`
	// Returned: the provider has said that the claim has none any more, which is no
	// proof while a young one may not show.
	Returned bool `json:"returned,omitempty"`
	// Asked is when the provider may last have made one.
	Asked time.Time `json:"asked"`
	// Conditions say why it is missing, or not given back.
	Conditions []Condition `json:"conditions,omitempty"`
	Created    time.Time   `json:"created"`
}
