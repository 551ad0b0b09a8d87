package api

import "github.com/nicferry/nicferry/nic"

// A ForgetRequest says that a node is gone for good. DryRun only tells what
// that gives up.
type ForgetRequest struct {
	DryRun bool `json:"dryRun,omitempty"`
}

// Forgotten is what is given up with a node.
type Forgotten struct {
	Node   string    `json:"node"`
	Claims []GivenUp `json:"claims" nullable:"false"`
	NICs   []nic.ID  `json:"nics" nullable:"false"`
}

// GivenUp is a claim that ends with its node, and what becomes free with it.
type GivenUp struct {
	Claim     nic.ClaimID  `json:"claim"`
	Container string       `json:"container"`
	Identity  nic.Identity `json:"identity"`
}

// A RevokeRequest takes a node's trust away. Seize also unplugs and deletes what
// providers can take out by themselves. DryRun only tells what becomes of what.
type RevokeRequest struct {
	Seize  bool `json:"seize,omitempty"`
	DryRun bool `json:"dryRun,omitempty"`
}

// Revoked is what becomes of all that is reserved for a node whose trust is taken
// away.
type Revoked struct {
	Node string `json:"node"`
	// Claims and NICs are given up, Kept and KeptNICs stay as they are.
	Claims   []GivenUp `json:"claims" nullable:"false"`
	NICs     []nic.ID  `json:"nics" nullable:"false"`
	Kept     []GivenUp `json:"kept" nullable:"false"`
	KeptNICs []nic.ID  `json:"keptNICs" nullable:"false"`
}

// NewRevoked is a node that has nothing.
func NewRevoked(node string) Revoked {
	return Revoked{Node: node, Claims: []GivenUp{}, NICs: []nic.ID{}, Kept: []GivenUp{}, KeptNICs: []nic.ID{}}
}
