package api

import "github.com/nicferry/nicferry/nic"

// A MoveView is a move and the revision to wait from for its next change.
type MoveView struct {
	nic.Move
	Revision uint64 `json:"revision,omitempty"`
}
