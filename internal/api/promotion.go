package api

import "github.com/nicferry/nicferry/nic"

// A PromoteRequest has a claim that fell back get a VF.
type PromoteRequest struct {
	// DryRun only says what that would do.
	DryRun bool `json:"dryRun,omitempty"`
}

// A Promotion is how a claim gets a VF in place of what its network fell back to. It
// keeps its addresses, and its own MAC.
type Promotion struct {
	Claim     nic.ClaimID `json:"claim"`
	Container string      `json:"container"`
	Node      string      `json:"node"`
	Network   string      `json:"network"`
	// NIC is what it has, which goes first: both would have one MAC on one card.
	NIC      nic.ID       `json:"nic"`
	Has      string       `json:"has"`
	Gets     string       `json:"gets"`
	Identity nic.Identity `json:"identity"`
	// CutsOff: its container runs, and has no network from the one to the other.
	CutsOff bool `json:"cutsOff"`
	// OtherMAC: what it has shows its card's MAC to others, who learn the claim's own.
	OtherMAC bool `json:"otherMac,omitempty"`
}
