package api

import "github.com/nicferry/nicferry/nic"

// FindingKind is one CamelCase word for what an audit has found.
type FindingKind string

// The kinds of finding.
const (
	// Provider without store: the provider has a NIC with our tag, and no record says why.
	FindingUnrecorded FindingKind = "Unrecorded"
	// Store without provider: a NIC is in use by its record, and not plugged in there.
	FindingNotAtProvider FindingKind = "NotAtProvider"
	// Store without node: a NIC is in a running container by its record, and not on the node.
	FindingNotOnNode FindingKind = "NotOnNode"
	// Node without store: a link with our mark is on a node, and no record says why.
	FindingLeftOnNode FindingKind = "LeftOnNode"
	// A link looks like ours and carries no mark: it is told and left alone.
	FindingForeign FindingKind = "Foreign"
	// A claim names a NIC that has no record.
	FindingClaimWithoutNIC FindingKind = "ClaimWithoutNIC"
	// A NIC is in use by its record, and no claim holds it.
	FindingNICWithoutClaim FindingKind = "NICWithoutClaim"
	// A claim's container is not known to the engine of its node, or its node not to us.
	FindingClaimWithoutContainer FindingKind = "ClaimWithoutContainer"
	// A NIC that containers share counts other seats than there are.
	FindingMiscounted FindingKind = "Miscounted"
	// An index of the store leads nowhere.
	FindingDangling FindingKind = "Dangling"
	// A provider has a public address with our tag, and no record says why.
	FindingPublicUnrecorded FindingKind = "PublicUnrecorded"
	// A claim has a public address by its record, and its provider knows nothing of it.
	FindingPublicNotAtProvider FindingKind = "PublicNotAtProvider"
	// A claim is gone, and its provider has not taken its public address back yet.
	FindingPublicLeft FindingKind = "PublicLeft"
	// What could not be compared, and why.
	FindingNodeSilent          FindingKind = "NodeSilent"
	FindingProviderUnreachable FindingKind = "ProviderUnreachable"
	// A provider's list says other than its answer about the NIC alone.
	FindingContradiction FindingKind = "Contradiction"
)

// A Finding is one difference between what the store, the providers and the
// nodes say.
type Finding struct {
	Kind     FindingKind `json:"kind"`
	NIC      nic.ID      `json:"nic,omitempty"`
	Claim    nic.ClaimID `json:"claim,omitempty"`
	Node     string      `json:"node,omitempty"`
	Provider string      `json:"provider,omitempty"`
	// Link is the name of the link on the node.
	Link string `json:"link,omitempty"`
	// Message says to a person what is the matter.
	Message string `json:"message"`
	// Remedy is what a fix does; empty where nothing is done but to tell.
	Remedy string `json:"remedy,omitempty"`
	// Fixed: the fix was asked for and has begun, or is done.
	Fixed bool `json:"fixed,omitempty"`
	// Error is why the fix failed.
	Error string `json:"error,omitempty"`
}

// An Audit is the answer to a comparison of store, providers and nodes.
type Audit struct {
	Findings []Finding `json:"findings" nullable:"false"`
	// Counted are the NICs that were compared: those of the store.
	Counted int `json:"counted"`
	// Sweeps is what the background sweep has done since the controller started.
	Sweeps Sweeps `json:"sweeps"`
}

// Sweeps counts what the background sweep has done since the controller
// started; for metrics too.
type Sweeps struct {
	Off bool `json:"off,omitempty"`
	// Runs are complete comparisons, Failed those that ended in an error.
	Runs   uint64 `json:"runs"`
	Failed uint64 `json:"failed"`
	// Marked are findings at their first sight, Spared those that were gone or
	// contradicted before their time, Mended those that were acted upon.
	Marked uint64 `json:"marked"`
	Spared uint64 `json:"spared"`
	Mended uint64 `json:"mended"`
}

// An AuditRequest asks for a comparison, and whether to mend what it finds.
type AuditRequest struct {
	Fix bool `json:"fix,omitempty"`
}
