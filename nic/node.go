package nic

import "time"

// NodePhase is what the controller thinks of a node.
type NodePhase string

// A node's phases in use so far.
const (
	NodeReady  NodePhase = "ready"  // its agent reports
	NodeSilent NodePhase = "silent" // no word for a while; nothing is taken from it
	// NodeLost: an operator has said that the node is gone for good. Its NICs
	// and claims are being given up, and its record goes after them.
	NodeLost NodePhase = "lost"
	// NodeRevoked: an operator has taken its trust away. Its agent is refused
	// until the node has joined anew; its containers keep their NICs.
	NodeRevoked NodePhase = "revoked"
)

// A Node is a machine that runs containers and an agent.
type Node struct {
	Schema int    `json:"schema"`
	Name   string `json:"name"`
	// Instances are the node's ids at each provider. The config says them,
	// never the agent.
	Instances map[string]InstanceID `json:"instances,omitempty"`
	Phase     NodePhase             `json:"phase"`
	// Session numbers the agent's starts. The newest wins; older ones are refused.
	Session   uint64    `json:"session"`
	Inventory Inventory `json:"inventory"`
	LastSeen  time.Time `json:"lastSeen"`
	// Join is which of the node's joins its agent said hello with; 0 for one
	// whose certificate stems from no join.
	Join uint64 `json:"join,omitempty"`
	// Revoked is when an operator took its trust away; zero while it has it.
	Revoked time.Time `json:"revoked,omitzero"`
	// Conditions are what keeps the node, or the providers of its NICs, from
	// being served at present. They are worked out when the node is shown.
	Conditions []Condition `json:"conditions,omitempty"`
}

// An Inventory is what an agent says of its machine when it starts.
type Inventory struct {
	// Boot is the kernel's boot id: when it changes, nothing made on the node
	// before is left.
	Boot         string `json:"boot"`
	Kernel       string `json:"kernel"`
	Docker       string `json:"docker"`
	AgentVersion string `json:"agentVersion"`
	// Moves: the agent carries out orders.
	Moves bool `json:"moves,omitempty"`
	// Cards are those that are cut into VFs, kept up to date by reports.
	Cards []Card `json:"cards,omitempty" maxItems:"64"`
}
