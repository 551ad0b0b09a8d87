package api

import "github.com/nicferry/nicferry/nic"

// A NetworkPlan says how many containers a network's machines can hold, what is used
// up first, and what a start costs.
type NetworkPlan struct {
	Network  string `json:"network"`
	Provider string `json:"provider"`
	Kind     string `json:"kind"`
	// Machines are the nodes, by name, or the one of the type that was asked for.
	Machines []MachinePlan `json:"machines"`
	// Cold are the calls to the provider that change something, of the start of a
	// container whose NIC is made for it, in order. One in reserve costs none.
	Cold []string `json:"cold"`
	// Reserve is how many NICs each node has ready, at least and at most.
	Reserve nic.Pool `json:"reserve"`
	// Shared: containers share NICs. Cold is what the first on each NIC costs then;
	// the others cost none.
	Shared bool `json:"shared,omitempty"`
}

// A MachinePlan is how many containers one machine can hold on a network.
type MachinePlan struct {
	Node     string         `json:"node,omitempty"`
	Instance nic.InstanceID `json:"instance,omitempty"`
	Type     string         `json:"type,omitempty"`
	// Held is how many it has now, Holds how many it can have, if no other machine
	// gets more meanwhile.
	Held  int `json:"held"`
	Holds int `json:"holds"`
	// First is what is used up first: the least of Bounds.
	First  string  `json:"first,omitempty"`
	Bounds []Bound `json:"bounds,omitempty"`
	// Problem is why nothing can be said of it.
	Problem string `json:"problem,omitempty"`
}

// A Bound is for how many further containers there is something.
type Bound struct {
	What string `json:"what"`
	Room int    `json:"room"`
}

// Bounded fills in Holds and First by Held and Bounds. Of several that are used up at
// once the first is meant.
func (m MachinePlan) Bounded() MachinePlan {
	m.Holds, m.First = m.Held, ""
	for i, b := range m.Bounds {
		if room := max(0, b.Room); i == 0 || m.Held+room < m.Holds {
			m.Holds, m.First = m.Held+room, b.What
		}
	}
	return m
}

// A NodeRoom is what a provider has room for on a node.
type NodeRoom struct {
	Provider string         `json:"provider"`
	Instance nic.InstanceID `json:"instance"`
	// Slot is what people call what a NIC takes. NICs is how many the instance can
	// have in all, and Free for how many more there is room.
	Slot string `json:"slot,omitempty"`
	NICs int    `json:"nics"`
	Free int    `json:"free"`
	// Seats is nil where no containers share NICs.
	Seats *SeatRoom `json:"seats,omitempty"`
	// Problem is why nothing can be said of the slots.
	Problem string `json:"problem,omitempty"`
}

// A SeatRoom counts the seats on NICs that containers share on a node.
type SeatRoom struct {
	Taken int `json:"taken"`
	// Free are on NICs that are there, and More on those that there is room for.
	Free int `json:"free"`
	More int `json:"more"`
}
