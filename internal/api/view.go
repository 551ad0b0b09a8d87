package api

import "github.com/nicferry/nicferry/nic"

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
