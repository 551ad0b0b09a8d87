package allocator

import (
	"context"
	"errors"

	"github.com/nicferry/nicferry/nic"
)

// ErrNotMoving: the claim is not in that move, or not any more.
var ErrNotMoving = errors.New("not moving")

var errUnbuilt = errors.New("moves of claims: not built yet")

// OfContainer lists the claims of a container by its name or its id, on the node
// or, if that is empty, wherever it is. On several nodes is ErrInvalid.
func (a *Allocator) OfContainer(ctx context.Context, node, container string) ([]nic.Claim, error) {
	return nil, errUnbuilt
}

// OnNode lists the claims whose containers are on the node.
func (a *Allocator) OnNode(ctx context.Context, node string) ([]nic.Claim, error) {
	return nil, errUnbuilt
}

// MoveRoom says how claims would get to a node, and all that stands against it.
func (a *Allocator) MoveRoom(ctx context.Context, ids []nic.ClaimID, to string) (nic.MoveRoom, error) {
	return nic.MoveRoom{}, errUnbuilt
}

// BeginMove fences the claims, and reserves what they need on the node.
func (a *Allocator) BeginMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, to, target string) ([]nic.Claim, error) {
	return nil, errUnbuilt
}

// AimMove says the id of the container that is to have the claims.
func (a *Allocator) AimMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, sandbox string) error {
	return errUnbuilt
}

// BringNICs says on which of the two nodes the NICs are to be from now on.
func (a *Allocator) BringNICs(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, node string) error {
	return errUnbuilt
}

// Whereabouts says how far the claims' NICs are, in the order of ids.
func (a *Allocator) Whereabouts(ctx context.Context, ids []nic.ClaimID) ([]nic.Whereabouts, error) {
	return nil, errUnbuilt
}

// AwaitNICs waits until the NICs are as wanted.
func (a *Allocator) AwaitNICs(ctx context.Context, ids []nic.ClaimID, as func([]nic.Whereabouts) bool) error {
	return errUnbuilt
}

// FinishMove makes the claims the target's.
func (a *Allocator) FinishMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID) error {
	return errUnbuilt
}

// CancelMove makes the claims again what they were.
func (a *Allocator) CancelMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID) error {
	return errUnbuilt
}

// ParkMove shows why a move can go neither way; "" shows that it goes on.
func (a *Allocator) ParkMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, why string) error {
	return errUnbuilt
}

// ForgetMoved lets a container that gave its claims away have some anew.
func (a *Allocator) ForgetMoved(ctx context.Context, node, sandbox string) error {
	return errUnbuilt
}

// Dead says whether nothing can run on the node, and how that is known.
func (a *Allocator) Dead(ctx context.Context, node string) (why string, dead bool, err error) {
	return "", false, errUnbuilt
}
