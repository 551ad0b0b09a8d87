package migrate

import (
	"context"

	"github.com/nicferry/nicferry/nic"
)

// Parts are the rooms that a move's steps work with.
type Parts struct {
	Claims  Claims  // required
	Orders  Orders  // required
	Streams Streams // required
}

// A Journal is the record of one move.
type Journal interface {
	// Move is the record as it was last stored.
	Move() nic.Move
	// Note changes the record, and returns when that is stored. It may be called
	// from several goroutines.
	Note(ctx context.Context, change func(*nic.Move)) error
}
