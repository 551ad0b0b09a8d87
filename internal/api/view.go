package api

import (
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A ClaimView is a claim and what its node last said of the claim's NIC.
type ClaimView struct {
	nic.Claim
	Observed *nic.Observed `json:"observed,omitempty"`
	// Steps are those of the way of its present NIC.
	Steps []StepTime `json:"steps,omitempty"`
}

// A NICView is a NIC and what its node last said of it.
type NICView struct {
	nic.NIC
	Observed *nic.Observed `json:"observed,omitempty"`
}

// A NetworkView is a network and how much of it is in use.
type NetworkView struct {
	nic.Network
	// Held counts the claims that hold a NIC of the network.
	Held int `json:"held"`
	// Free counts the addresses left in the ranges; absent where the
	// controller does not give them.
	Free *int `json:"free,omitempty"`
}

// A NodeView is a node and what the controller lets it do.
type NodeView struct {
	nic.Node
	// Tenants are those that its containers may be of; the first is theirs unless
	// they say another.
	Tenants []string `json:"tenants,omitempty"`
	// Drain is how far its draining is; empty while nobody wants it empty.
	Drain nic.DrainPhase `json:"drain,omitempty"`
	// CertificateEnds is the end of the certificate that its agent has shown last;
	// zero if none has been seen since the controller's start.
	CertificateEnds time.Time `json:"certificateEnds,omitzero"`
}
