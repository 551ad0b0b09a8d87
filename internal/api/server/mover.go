package server

import (
	"context"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// A Mover moves containers and their NICs from node to node. What may not be
// moved is nic.MoveRefusals, with every reason; what does not exist is not found.
// All methods may be called concurrently.
type Mover interface {
	// Plan says what a move would do. Reasons against it are in the plan, and no
	// error; it asks both nodes, so it takes seconds.
	Plan(ctx context.Context, request nic.MoveRequest) (nic.MovePlan, error)
	// Begin stores a move that then goes on by itself. A container that moves
	// already with the same request: that move.
	Begin(ctx context.Context, request nic.MoveRequest) (nic.Move, error)
	// Moves returns all moves that are kept, oldest first.
	Moves(ctx context.Context) ([]nic.Move, error)
	// Move returns one, and its revision.
	Move(ctx context.Context, id nic.MoveID) (nic.Move, uint64, error)
	// WaitMove returns it as soon as its revision is not after any more. When ctx
	// ends it returns ctx's error.
	WaitMove(ctx context.Context, id nic.MoveID, after uint64) (nic.Move, uint64, error)
	// Resume has a parked move go on forward, Abort has one go back.
	// One that is beyond its pivot cannot: refused. One that goes on or back
	// already: no error.
	Resume(ctx context.Context, id nic.MoveID) (nic.Move, error)
	Abort(ctx context.Context, id nic.MoveID) (nic.Move, error)
	// Drain begins to empty a node, or goes on with it. Undrain begins no more
	// moves, and makes the node a target again; those under way end as they do.
	Drain(ctx context.Context, node string, request nic.DrainRequest) (nic.Drain, error)
	Undrain(ctx context.Context, node string) (nic.Drain, error)
	// Drains returns those that nobody has taken back, by node.
	Drains(ctx context.Context) ([]nic.Drain, error)
}

// noMover stands for a controller that moves nothing.
type noMover struct{}

func noMoves() error {
	return &api.Error{Code: api.CodeRefused, Message: "this controller moves no containers"}
}

func (noMover) Plan(context.Context, nic.MoveRequest) (nic.MovePlan, error) {
	return nic.MovePlan{}, noMoves()
}

func (noMover) Begin(context.Context, nic.MoveRequest) (nic.Move, error) {
	return nic.Move{}, noMoves()
}
func (noMover) Moves(context.Context) ([]nic.Move, error) { return nil, nil }
func (noMover) Move(context.Context, nic.MoveID) (nic.Move, uint64, error) {
	return nic.Move{}, 0, noMoves()
}

func (noMover) WaitMove(context.Context, nic.MoveID, uint64) (nic.Move, uint64, error) {
	return nic.Move{}, 0, noMoves()
}

func (noMover) Resume(context.Context, nic.MoveID) (nic.Move, error) { return nic.Move{}, noMoves() }

func (noMover) Abort(context.Context, nic.MoveID) (nic.Move, error) { return nic.Move{}, noMoves() }

func (noMover) Drain(context.Context, string, nic.DrainRequest) (nic.Drain, error) {
	return nic.Drain{}, noMoves()
}

func (noMover) Undrain(context.Context, string) (nic.Drain, error) {
	return nic.Drain{}, noMoves()
}
func (noMover) Drains(context.Context) ([]nic.Drain, error) { return nil, nil }
