package nic

import "time"

// A DrainRequest asks for a node to be emptied of containers that have NICs.
type DrainRequest struct {
	// To are the nodes that may take them; empty is any that is ready. Each
	// container goes to the one with the most room at that time.
	To []string `json:"to,omitempty"`
	// MaxParallel is how many move at once; 0 is 2.
	MaxParallel int `json:"maxParallel,omitempty" minimum:"0" maximum:"16"`
	// KeepGoing begins further moves after one has failed.
	KeepGoing bool        `json:"keepGoing,omitempty"`
	Options   MoveOptions `json:"options,omitzero"`
}

// DrainPhase is how far the draining of a node is.
type DrainPhase string

// The phases of a drain. In all of them the node is no target of moves, until
// somebody takes the drain back.
const (
	DrainMoving  DrainPhase = "draining" // containers are moved, or wait for it
	DrainStopped DrainPhase = "stopped"  // no more moves are begun, since one has failed
	DrainDone    DrainPhase = "drained"  // no container of ours is there any more
)

// Over says whether nothing more is done in that phase without being asked.
func (p DrainPhase) Over() bool { return p == DrainStopped || p == DrainDone }

// A Drain is the emptying of a node, and its journal. Asking for it again goes on
// after what has failed.
type Drain struct {
	Schema  int          `json:"schema"`
	Node    string       `json:"node"`
	Request DrainRequest `json:"request,omitzero"`
	Phase   DrainPhase   `json:"phase"`
	// Containers are those that were there when it began or have come since, with
	// what became of them, in the order of their names.
	Containers []DrainedContainer `json:"containers,omitempty"`
	// Why it has stopped; for people.
	Why     string    `json:"why,omitempty"`
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended,omitzero"`
}

// A DrainedContainer is one of a node that is drained.
type DrainedContainer struct {
	Container string `json:"container"`
	// To and Move are empty until its move has begun.
	To   string `json:"to,omitempty"`
	Move MoveID `json:"move,omitempty"`
	// State is its move's phase; empty while it waits for its turn.
	State MovePhase `json:"state,omitempty"`
	// Refusals are what stands against moving it to the node that would have been
	// next; it then has no move.
	Refusals []MoveRefusal `json:"refusals,omitempty"`
	Why      string        `json:"why,omitempty"`
}
