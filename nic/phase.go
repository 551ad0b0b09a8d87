package nic

import "slices"

// State is what a provider says of a NIC.
type State string

// The provider's states:
// creating → available ⇄ attaching → attached → detaching → available → deleting → (gone).
const (
	StateCreating  State = "creating"
	StateAvailable State = "available"
	StateAttaching State = "attaching"
	StateAttached  State = "attached"
	StateDetaching State = "detaching"
	StateDeleting  State = "deleting"
	StateFailed    State = "failed"
)

// Phase is where a NIC's record is in its life.
type Phase string

// A NIC's phases. Only the agent's report "clean" ends returning.
const (
	PhasePlanned   Phase = "planned"   // recorded, being made and plugged
	PhaseSpare     Phase = "spare"     // plugged, held by nobody
	PhaseHeld      Phase = "held"      // a claim holds it
	PhaseCarrying  Phase = "carrying"  // plugged in, and seats of claims are on it
	PhaseReturning Phase = "returning" // being taken out, wiped and unplugged
	PhaseCooling   Phase = "cooling"   // clean, waiting before it may be used again
	PhaseRetiring  Phase = "retiring"  // being deleted at the provider
)

// phaseSteps are the only ways from phase to phase. retiring ends in gone,
// which has no record; and so does the returning of a seat.
var phaseSteps = map[Phase][]Phase{
	PhasePlanned:   {PhaseSpare, PhaseHeld, PhaseCarrying, PhaseReturning, PhaseRetiring},
	PhaseSpare:     {PhaseHeld, PhaseCarrying, PhaseReturning},
	PhaseHeld:      {PhaseSpare, PhaseReturning},
	PhaseCarrying:  {PhaseReturning},
	PhaseReturning: {PhaseCooling, PhaseRetiring, PhasePlanned, PhaseHeld}, // the last two on the move
	PhaseCooling:   {PhaseSpare, PhaseRetiring},
}

// CanBecome says whether a NIC in phase p may go to phase next.
func (p Phase) CanBecome(next Phase) bool { return slices.Contains(phaseSteps[p], next) }

// ClaimPhase is where a claim is in its life.
type ClaimPhase string

// A claim's phases. A claim lives as long as its container exists.
const (
	ClaimPending   ClaimPhase = "pending"   // has no usable NIC yet, or its container does not run and the hold or the preplug is over
	ClaimReady     ClaimPhase = "ready"     // its NIC is on the node and may be ferried in
	ClaimBound     ClaimPhase = "bound"     // its NIC is in the container and configured
	ClaimReleasing ClaimPhase = "releasing" // its container is gone, the NIC is being taken back
	ClaimRefused   ClaimPhase = "refused"   // cannot be met; tried again when what refused it changes
	ClaimMoving    ClaimPhase = "moving"    // on its way to another owner; only its move decides
	ClaimParked    ClaimPhase = "parked"    // its move can neither go on nor back without an operator
)

var claimSteps = map[ClaimPhase][]ClaimPhase{
	ClaimPending:   {ClaimReady, ClaimRefused, ClaimReleasing, ClaimMoving},
	ClaimReady:     {ClaimBound, ClaimPending, ClaimReleasing, ClaimMoving},
	ClaimBound:     {ClaimReady, ClaimPending, ClaimReleasing, ClaimMoving},
	ClaimMoving:    {ClaimPending, ClaimReady, ClaimBound, ClaimReleasing, ClaimParked},
	ClaimParked:    {ClaimMoving, ClaimReleasing},
	ClaimRefused:   {ClaimPending, ClaimReleasing},
	ClaimReleasing: {},
}

// CanBecome says whether a claim in phase p may go to phase next.
func (p ClaimPhase) CanBecome(next ClaimPhase) bool { return slices.Contains(claimSteps[p], next) }
