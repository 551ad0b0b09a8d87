package migrate

import (
	"context"
	"errors"

	"github.com/nicferry/nicferry/nic"
)

// A Mover carries out moves, and drains nodes. Its methods keep what is asked in
// the store, and may be called in any controller; Run does the work.
type Mover struct {
	opts Options
}

// New makes a Mover.
func New(opts Options) (*Mover, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	return &Mover{opts: opts}, nil
}

var errStub = errors.New("not built yet")

// Run leads until ctx ends: it goes on with all moves that are not over, and works
// on drains. It returns early only if leadership or the store is lost.
func (m *Mover) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Plan says what a move would do. Reasons against it are in the plan, and no error.
func (m *Mover) Plan(context.Context, nic.MoveRequest) (nic.MovePlan, error) {
	return nic.MovePlan{}, errStub
}

// Begin stores a move that then goes on by itself. Reasons against it are
// nic.MoveRefusals. A container that moves already by the same request: that move.
func (m *Mover) Begin(context.Context, nic.MoveRequest) (nic.Move, error) {
	return nic.Move{}, errStub
}

// Moves returns all moves that are kept, oldest first.
func (m *Mover) Moves(context.Context) ([]nic.Move, error) { return nil, errStub }

// Move returns one and its revision; ErrNotFound if none is kept.
func (m *Mover) Move(context.Context, nic.MoveID) (nic.Move, uint64, error) {
	return nic.Move{}, 0, errStub
}

// WaitMove returns it as soon as its revision is not after any more, or else ctx's
// error.
func (m *Mover) WaitMove(context.Context, nic.MoveID, uint64) (nic.Move, uint64, error) {
	return nic.Move{}, 0, errStub
}

// Resume has a parked move go on forward from the first step that is not done. One
// that goes on already: no error. One that is undone: ErrRefused.
func (m *Mover) Resume(context.Context, nic.MoveID) (nic.Move, error) { return nic.Move{}, errStub }

// Abort has a move go back. One that goes back already or is undone: no error. One
// beyond its pivot: ErrRefused.
func (m *Mover) Abort(context.Context, nic.MoveID) (nic.Move, error) { return nic.Move{}, errStub }

// Drain begins to empty a node, or goes on with it.
func (m *Mover) Drain(context.Context, string, nic.DrainRequest) (nic.Drain, error) {
	return nic.Drain{}, errStub
}

// Undrain begins no more moves, and makes the node a target again; those under way
// end as they do. A node that is not drained: ErrNotFound.
func (m *Mover) Undrain(context.Context, string) (nic.Drain, error) { return nic.Drain{}, errStub }

// Drains returns those that nobody has taken back, by node.
func (m *Mover) Drains(context.Context) ([]nic.Drain, error) { return nil, errStub }
