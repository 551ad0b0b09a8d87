package nic

import (
	"fmt"
	"net/netip"
	"time"
)

// MoveID names one move.
type MoveID string

const moveIDPrefix = "mov-"

// NewMoveID mints a move's id.
func NewMoveID() MoveID { return MoveID(moveIDPrefix + randomHex()) }

// ParseMoveID accepts exactly what NewMoveID makes.
func ParseMoveID(s string) (MoveID, error) {
	if err := checkID(s, moveIDPrefix); err != nil {
		return "", fmt.Errorf("move id %q: %w", s, err)
	}
	return MoveID(s), nil
}

// MoveKind is what moves.
type MoveKind string

// The kinds of move.
const (
	MoveContainer MoveKind = "container" // a container with all its NICs
	MoveNIC       MoveKind = "nic"       // the NICs alone, to a container that runs there already
)

// MovePhase is where a move is.
type MovePhase string

// A move's phases. Before its pivot it goes back when a step fails, after it
// only forward.
const (
	MoveForward   MovePhase = "forward"   // its steps are being done
	MoveBack      MovePhase = "back"      // what was done is being undone, last first
	MoveFinishing MovePhase = "finishing" // the pivot is done: the container is the target's
	MoveParked    MovePhase = "parked"    // neither way goes on without an operator
	MoveDone      MovePhase = "done"      // the container is on the target node alone
	MoveUndone    MovePhase = "undone"    // all is as it was
)

// Over says whether nothing more is done in that phase.
func (p MovePhase) Over() bool { return p == MoveDone || p == MoveUndone }

// A Move is the re-homing of a container and its NICs from one node to another,
// and its journal. It holds no secret: a container's environment never is in it.
type Move struct {
	Schema int      `json:"schema"`
	ID     MoveID   `json:"id"`
	Tenant string   `json:"tenant,omitempty"`
	Kind   MoveKind `json:"kind"`
	// Container is the container's name on From; Target the one on To, which is
	// the same unless only the NICs move.
	Container string    `json:"container"`
	Target    string    `json:"target"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	Claims    []ClaimID `json:"claims"`
	// Sandbox is the container's id on From; TargetSandbox the one on To, empty
	// until it is made.
	Sandbox       string      `json:"sandbox"`
	TargetSandbox string      `json:"targetSandbox,omitempty"`
	Options       MoveOptions `json:"options,omitzero"`
	Phase         MovePhase   `json:"phase"`
	// Was is what of the container is changed during the move and put back.
	Was   RestartPolicy `json:"was,omitzero"`
	Steps []MoveStep    `json:"steps"`
	// Stopped: it did not run when the move began, and is not started on To either.
	Stopped bool `json:"stopped,omitempty"`
	// Grace is how long it is given to stop.
	Grace Duration `json:"grace,omitempty"`
	// Image is the id of its image, ImageName how its user named that.
	Image     string `json:"image,omitempty"`
	ImageName string `json:"imageName,omitempty"`
	// Copies are what goes from node to node.
	Copies []PlannedCopy `json:"copies,omitempty"`
	// Volumes are those that are made anew on To, VolumesThere those that were there
	// before and that it gets.
	Volumes      []string `json:"volumes,omitempty"`
	VolumesThere []string `json:"volumesThere,omitempty"`
	// Networks are Docker's own that it is on, and is to be on there.
	Networks []string `json:"networks,omitempty"`
	// Why it goes back, is parked, or was undone; for people.
	Why string `json:"why,omitempty"`
	// Left is what could not be taken back, and is to be removed by hand.
	Left []string `json:"left,omitempty"`
	// Remedy is the command that leads on from parked.
	Remedy  string    `json:"remedy,omitempty"`
	Drain   bool      `json:"drain,omitempty"` // a drain of From began it
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended,omitzero"`
	// SilentFrom and SilentTo bound the time in which the container answered
	// nobody, as far as the controller knows: from the order to stop it to the
	// report that its NIC is in on To.
	SilentFrom time.Time `json:"silentFrom,omitzero"`
	SilentTo   time.Time `json:"silentTo,omitzero"`
}

// MoveOptions are what its user has chosen.
type MoveOptions struct {
	// Volumes and Layer say what becomes of the container's volumes, and of what
	// it has written beside them: refuse, copy or ignore.
	Volumes CopyRule `json:"volumes,omitempty"`
	Layer   CopyRule `json:"layer,omitempty"`
	// Wait is how long the container may take on To until it is healthy; 0 asks
	// only that it runs and has its NICs.
	Wait Duration `json:"wait,omitempty"`
	// Grace is how long the container may take to stop; 0 is its own.
	Grace Duration `json:"grace,omitempty"`
	// Keep leaves the stopped container on From.
	Keep bool `json:"keep,omitempty"`
	// Checkpoint asks that the processes are carried along, with CRIU: no plan grants it.
	Checkpoint bool `json:"checkpoint,omitempty"`
}

// CopyRule is what becomes of something that is not in the image.
type CopyRule string

// The rules.
const (
	CopyRefuse CopyRule = "refuse" // the default: a container that has some is not moved
	CopyCopy   CopyRule = "copy"
	CopyIgnore CopyRule = "ignore" // it stays behind
)

// RestartPolicy is Docker's.
type RestartPolicy struct {
	Name    string `json:"name,omitempty"` // no, always, unless-stopped, on-failure
	Retries int    `json:"retries,omitempty"`
}

// MoveStepState is how far a step is.
type MoveStepState string

// The states of a step.
const (
	StepOpen    MoveStepState = ""        // not begun
	StepDoing   MoveStepState = "doing"   // begun; it may have had any effect
	StepDone    MoveStepState = "done"    //
	StepUndoing MoveStepState = "undoing" // being taken back
	StepUndone  MoveStepState = "undone"  //
)

// A MoveStep is one step of a move, as it is shown and journaled.
type MoveStep struct {
	Name  string        `json:"name"`
	State MoveStepState `json:"state,omitempty"`
	// Pivot: once it is done there is no way back.
	Pivot bool      `json:"pivot,omitempty"`
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Bytes of Total are copied; Total is 0 where it is not known.
	Bytes int64 `json:"bytes,omitempty"`
	Total int64 `json:"total,omitempty"`
	// Tries counts its beginnings; Error is what the last one ended with.
	Tries int    `json:"tries,omitempty"`
	Error string `json:"error,omitempty"`
}

// A ClaimMove is what a claim on the way to another node says of that.
type ClaimMove struct {
	Move MoveID `json:"move"`
	// From is the owner that the claim has, until the pivot; To the one that it
	// is to have. To has no sandbox until its container is made.
	From Owner `json:"from"`
	To   Owner `json:"to"`
	// Target is the name of To's container.
	Target string `json:"target"`
	// At is the node where the NIC is to be now: that of From or of To.
	At string `json:"at"`
	// Was is the claim's phase before.
	Was ClaimPhase `json:"was"`
	// Last are the addresses that From's node saw on the NIC.
	Last []netip.Prefix `json:"last,omitempty"`
	// Lost: From's container has gone meanwhile, by somebody else's hand.
	Lost bool `json:"lost,omitempty"`
	// ByAddress: its address goes alone, from one NIC to another. Both have slots of
	// their own.
	ByAddress bool `json:"byAddress,omitempty"`
}

// Whereabouts is how far a moving claim's NIC is.
type Whereabouts struct {
	Claim ClaimID `json:"claim"`
	// NIC is empty while the old one is gone and the new one not yet planned.
	NIC ID `json:"nic,omitempty"`
	// AddrLost: the new one is planned only when the move is over. The address went
	// alone, and the NIC that it was to be on is gone.
	AddrLost bool   `json:"addrLost,omitempty"`
	Node     string `json:"node,omitempty"`  // whose it is
	Phase    Phase  `json:"phase,omitempty"` // ours
	State    State  `json:"state,omitempty"` // the provider's last word
	// Seen is the last word of the node about it there, empty before the first.
	Seen ObservedState `json:"seen,omitempty"`
	// Running: that node says the container runs.
	Running    bool        `json:"running,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"` // of claim and NIC
	// Next is the NIC on the other node on which a place is kept for the claim's
	// address, where that goes alone, and NextPhase ours of it; NextClosed says that it
	// is given up.
	Next       ID    `json:"next,omitempty"`
	NextPhase  Phase `json:"nextPhase,omitempty"`
	NextClosed bool  `json:"nextClosed,omitempty"`
}
