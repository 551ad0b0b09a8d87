package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// ErrNotMoving: the claim is not in that move, or not any more.
var ErrNotMoving = errors.New("not moving")

// onMove says whether the claim is on its way to another owner: then only its
// move decides what becomes of it.
func onMove(claim nic.Claim) bool { return claim.Move != nil }

// A moved record says that a container has given its claim away. Only its move
// ends it: until then the container gets none of its own.
type moved struct {
	Schema int         `json:"schema"`
	Move   nic.MoveID  `json:"move"`
	Claim  nic.ClaimID `json:"claim"`
	To     nic.Owner   `json:"to"`
	Target string      `json:"target"` // the name of To's container
}

// movingClaims reads the claims of a move, in the order of ids.
func movingClaims(e *edit, what string, move nic.MoveID, ids []nic.ClaimID) ([]store.JSON[nic.Claim], error) {
	claims := make([]store.JSON[nic.Claim], len(ids))
	for i, id := range ids {
		claim, rev, found, err := get[nic.Claim](e, claimKey(id))
		switch {
		case err != nil:
			return nil, err
		case !found:
			return nil, fmt.Errorf("%s of claim %s: %w: the claim is gone", what, id, ErrNotMoving)
		case claim.Move == nil || claim.Move.Move != move:
			return nil, fmt.Errorf("%s of claim %s: %w: it is not in move %s", what, id, ErrNotMoving, move)
		}
		own := *claim.Move // what is decided and not committed must not be seen through it
		claim.Move = &own
		claims[i] = store.JSON[nic.Claim]{Key: claimKey(id), Value: claim, Rev: rev}
	}
	return claims, nil
}

// changeMove changes all claims of a move, or none. change may leave its claim as
// it is.
func (a *Allocator) changeMove(ctx context.Context, what string, move nic.MoveID, ids []nic.ClaimID,
	change func(e *edit, claim *nic.Claim) (changed bool, err error),
) error {
	return a.atomically(ctx, func(e *edit) error {
		claims, err := movingClaims(e, what, move, ids)
		if err != nil {
			return err
		}
		for _, c := range claims {
			changed, err := change(e, &c.Value)
			if err != nil {
				return fmt.Errorf("%s of claim %s: %w", what, c.Value.ID, err)
			}
			if changed {
				e.update(c.Key, c.Value, c.Rev)
			}
		}
		return nil
	})
}

// carries says whether the NIC itself goes to another node, or is a seat, whose
// address goes; otherwise another one is made there with the same MAC and addresses.
func (a *Allocator) carries(n nic.NIC) bool {
	if n.Carrier != "" {
		return true
	}
	p, ok := a.opts.Providers[n.Provider]
	return ok && n.Placed && p.Info().Travel == provider.Carry
}

// moverOf is the claim that has the NIC, if it is on the move.
func moverOf(e *edit, n nic.NIC) (claim nic.Claim, rev store.Rev, moves bool, err error) {
	if n.Holder == "" {
		return claim, 0, false, nil
	}
	claim, rev, found, err := get[nic.Claim](e, claimKey(n.Holder))
	return claim, rev, found && claim.NIC == n.ID && onMove(claim), err
}

// serves says whether the node may be given NICs.
func serves(node nic.Node) bool { return node.Phase != nic.NodeLost && node.Revoked.IsZero() }

// forgottenMove has a claim serve its container again that is on no move any more
// and has the phase of one: a release from before moves drops what a claim says of its
// own. A NIC that is elsewhere goes home. The move itself finds that, and goes back.
func (a *Allocator) forgottenMove(e *edit, claim nic.Claim, rev store.Rev) error {
	targets, _, err := store.ListJSON[nic.ClaimID](e.ctx, a.opts.Store, movingPrefix, "", 0)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if t.Value == claim.ID {
			e.delete(t.Key, t.Rev)
		}
	}
	n, _, found, err := get[nic.NIC](e, nicKey(cmp.Or(claim.NIC, "none")))
	if err != nil {
		return err
	}
	claim.Epoch++
	claim.Conditions, claim.Setbacks = nil, nil
	a.setClaimPhase(&claim, nic.ClaimMoving) // from parked
	a.setClaimPhase(&claim, nic.ClaimPending)
	here := found && n.Node == claim.Owner.Node && n.Phase == nic.PhaseHeld
	if here {
		a.setClaimPhase(&claim, nic.ClaimReady)
	}
	e.update(claimKey(claim.ID), claim, rev)
	a.opts.Log.Warn("claim was on a move that is forgotten", "claim", claim.ID, "nic", claim.NIC, "container", claim.Container)
	if found && !here {
		return a.takeBackFor(e, claim)
	}
	return nil
}
