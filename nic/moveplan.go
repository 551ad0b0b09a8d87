package nic

// A MoveRequest is what its user asks of a move.
type MoveRequest struct {
	Kind MoveKind `json:"kind,omitempty"` // default container
	// Container is a name or an id, on From; From may be empty where one node
	// alone has such a container with a NIC of ours.
	Container string `json:"container"`
	From      string `json:"from,omitempty"`
	To        string `json:"to"`
	// Target is the stand-by container on To that is to have the NICs; with
	// MoveNIC alone.
	Target  string      `json:"target,omitempty"`
	Options MoveOptions `json:"options,omitzero"`
}

// A MovePlan is what a move would do, or why there can be none.
type MovePlan struct {
	Request MoveRequest `json:"request"` // with all that was left open filled in
	// Travel is how the NICs get there: carry, rebuild or readdress, the slowest one of all.
	Travel string        `json:"travel"`
	NICs   []PlannedNIC  `json:"nics"`
	Steps  []PlannedStep `json:"steps"`
	// Silence is how long nobody answers, as a rule: the sum of the steps between
	// the order to stop and the NIC's being in.
	Silence Duration `json:"silence"`
	// SilenceAtMost is the same for a container that does not end when it is told
	// to, and is ended when its grace period is over.
	SilenceAtMost Duration `json:"silenceAtMost"`
	// Risks are what is not as in a plain move; for people.
	Risks []string `json:"risks,omitempty"`
	// Copies are what goes from node to node, through the controller.
	Copies []PlannedCopy `json:"copies,omitempty"`
	// Refusals are all reasons that stand against it; empty: it may begin.
	Refusals []MoveRefusal `json:"refusals,omitempty"`
}

// PlannedNIC is a NIC that moves.
type PlannedNIC struct {
	Claim     ClaimID  `json:"claim"`
	NIC       ID       `json:"nic,omitempty"`
	Interface string   `json:"interface"`
	Network   string   `json:"network"`
	Identity  Identity `json:"identity"`
	Travel    string   `json:"travel"`
}

// PlannedStep is a step to come.
type PlannedStep struct {
	Name  string `json:"name"`
	About string `json:"about"`
	// Expected is how long it takes as a rule; 0 is no time to speak of.
	Expected Duration `json:"expected,omitempty"`
	Pivot    bool     `json:"pivot,omitempty"`
	Silent   bool     `json:"silent,omitempty"` // the container answers nobody meanwhile
}

// PlannedCopy is something that goes from node to node.
type PlannedCopy struct {
	What  StreamWhat `json:"what"`
	Ref   string     `json:"ref"`
	Bytes int64      `json:"bytes"`
	// Pull: it comes from its registry instead, if that has it.
	Pull bool `json:"pull,omitempty"`
}

// A MoveRefusal is a reason against a move.
type MoveRefusal struct {
	// About is what it is about: slots, quota, network, tenant, memory, name,
	// ports, devices, privileged, binds, volumes, layer, image, node, claim, ….
	About string `json:"about"`
	Why   string `json:"why"`
	// Remedy says what would help; empty where nothing does.
	Remedy string `json:"remedy,omitempty"`
}

// MoveRoom is what the records and the provider say of claims and a node that
// they are to go to.
type MoveRoom struct {
	NICs []PlannedNIC `json:"nics"`
	// Free is how many slots that are promised to nobody are left there when these
	// have theirs, at the provider with the fewest; 0 without a number.
	Free int `json:"free,omitempty"`
	// Refusals are all that stands against it there.
	Refusals []MoveRefusal `json:"refusals,omitempty"`
}
