package api

import "github.com/nicferry/nicferry/nic"

// An AcquireRequest asks for the claim of one container interface.
type AcquireRequest struct {
	// Owner is the idempotency key: the same owner gets the same claim.
	Owner nic.Owner `json:"owner"`
	// Container is the container's name, for people.
	Container string      `json:"container" maxLength:"255"`
	Request   nic.Request `json:"request"`
}

// A ReleaseRequest gives a claim back.
type ReleaseRequest struct {
	// Epoch is the claim's, as the caller knows it.
	Epoch uint64 `json:"epoch"`
}

// A WantedList is all that is wanted of one node, at a revision to watch from.
type WantedList struct {
	Revision uint64       `json:"revision"`
	Items    []nic.Wanted `json:"items" nullable:"false"`
}

// A Change is the event of a watch: the node's wanted state may have changed,
// and has the revision.
type Change struct {
	Revision uint64 `json:"revision"`
}

// EventError names the event that ends a watch which cannot go on; its data is
// an Error. A Change has no name.
const EventError = "error"

// A Version says which program answers.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
}
