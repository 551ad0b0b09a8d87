package nic

// A Pool is how many NICs a node has in reserve, plugged in and held by nobody.
type Pool struct {
	// Min are made ahead as long as there are slots.
	Min int `json:"min,omitempty"`
	// Max is how many are kept, of those that are given back too; never less
	// than Min, and 0 is no pool.
	Max int `json:"max,omitempty"`
	// Idle is how long one beyond Min is kept.
	Idle Duration `json:"idle,omitempty"`
}
