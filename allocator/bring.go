package allocator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// BringNICs says on which of the two nodes the NICs are to be from now on. They
// get there by themselves, whatever way they were on: out of the one, clean by its
// node's word, and then into the other. Only a node that is dead is not asked. It
// may be called with the other node at any time before the pivot, and again with
// the same one, such as when a node has died meanwhile.
func (a *Allocator) BringNICs(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, node string) error {
	what := fmt.Sprintf("bring NICs to node %s", node)
	dead, err := a.deadNodes(ctx, what, move, ids)
	if err != nil {
		return err
	}
	return a.changeMove(ctx, what, move, ids, func(e *edit, claim *nic.Claim) (bool, error) {
		m := claim.Move
		if node != m.From.Node && node != m.To.Node {
			return false, fmt.Errorf("%w: the move is from %s to %s", ErrInvalid, m.From.Node, m.To.Node)
		}
		changed := m.At != node
		m.At = node
		if changed {
			claim.Setbacks = nil // they are of the other way
		}
		led, err := a.guide(e, claim, dead)
		return changed || led, err
	})
}

// deadNodes are those of the move that are dead, with how that is known. That it
// cannot be known is no error: then a node is asked.
func (a *Allocator) deadNodes(ctx context.Context, what string, move nic.MoveID, ids []nic.ClaimID) (map[string]string, error) {
	claims, err := movingClaims(a.reader(ctx), what, move, ids)
	if err != nil {
		return nil, err
	}
	dead := map[string]string{}
	for _, c := range claims {
		for _, name := range []string{c.Value.Move.From.Node, c.Value.Move.To.Node} {
			if _, known := dead[name]; known {
				continue
			}
			why, is, err := a.Dead(ctx, name)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err == nil && is {
				dead[name] = why
			}
		}
	}
	return dead, nil
}

// guide leads the NIC of a claim on the move to where that is to be, one step
// from wherever it is; the rest follows from its record. It reports whether the
// claim has changed.
func (a *Allocator) guide(e *edit, claim *nic.Claim, dead map[string]string) (bool, error) {
	if claim.NIC == "" {
		return a.planMoving(e, claim)
	}
	n, rev, found, err := get[nic.NIC](e, nicKey(claim.NIC))
	if err != nil || !found {
		return false, err
	}
	before := n
	at, wanted := claim.Move.At, a.wantsNIC(*claim)
	switch {
	case n.Node == at && wanted && (n.Phase == nic.PhasePlanned || n.Phase == nic.PhaseHeld):
	case n.Node == at && wanted && staysIn(n): // its node has not let go of it yet, and may keep it
		a.setPhase(&n, nic.PhaseHeld)
		n.Going = ""
		n.Turn++
		nic.ClearCondition(&n.Conditions)
		if err := e.drop(observedKey(n.ID)); err != nil {
			return false, err
		}
	default:
		e.homeward(&n)
		n.Reuse = false
		if n.Phase == nic.PhaseReturning {
			n.Going = ""
			if wanted && a.carries(n) {
				n.Going = at
			}
			if _, gone := dead[n.Node]; gone || !cleanFirst {
				n.Clean = true
			}
		}
	}
	if markOf(before) != markOf(n) {
		e.update(nicKey(n.ID), n, rev)
	}
	return false, nil
}

// wantsNIC says whether the claim is to have a NIC where it is to be: one that had
// none where it comes from is to have none there.
func (a *Allocator) wantsNIC(claim nic.Claim) bool {
	return claim.Move.At != claim.Move.From.Node || claim.Move.Was != nic.ClaimPending
}

// staysIn says whether a returning NIC is plugged in as it was: before its node's
// word nobody unplugs it.
func staysIn(n nic.NIC) bool {
	return n.Phase == nic.PhaseReturning && !n.Clean && told(n) && n.Seen.State == nic.StateAttached && n.Seen.Place.Instance == n.Instance
}

// planMoving plans a NIC for a claim on the move that has none, with the same MAC
// and addresses, unless none is wanted, or none can be made there now. It reports
// whether the claim has changed.
func (a *Allocator) planMoving(e *edit, claim *nic.Claim) (bool, error) {
	if claim.NIC != "" || !a.wantsNIC(*claim) {
		return false, nil
	}
	network, known := a.networks[claim.Request.Network]
	node, rev, found, err := get[nic.Node](e, nodeKey(claim.Move.At))
	switch {
	case err != nil:
		return false, err
	case !found || !serves(node):
		return nic.SetCondition(&claim.Conditions, *a.because(nic.ReasonWaitingForNode, "no NIC is made for node %s, which is lost or revoked", claim.Move.At)), nil
	case claim.Move.ByAddress: // which has gone with its NIC
		return nic.SetCondition(&claim.Conditions, *a.because(nic.ReasonProviderError, "its address is lost, with the NIC that it was on: give the move up, and it gets another")), nil
	case !known:
		return nic.SetCondition(&claim.Conditions, *a.because(nic.ReasonUnknownNetwork, "no network %q in the controller's config", claim.Request.Network)), nil
	}
	if tired := a.overtried(claim); tired != nil {
		return nic.SetCondition(&claim.Conditions, *tired), nil
	}
	e.fenceAt(nodeKey(node.Name), rev)
	clearWaits(claim)
	a.plan(e, claim, network, node, a.now())
	return true, nil
}

// clearWaits drops what was said of the last NIC of a claim on the move.
func clearWaits(claim *nic.Claim) {
	claim.Conditions = slices.DeleteFunc(slices.Clone(claim.Conditions), func(c nic.Condition) bool { return c.Reason != nic.ReasonMoveParked })
}

// workOnMoving is workOnClaim for a claim on the move: it gets the NIC that it
// lacks, as soon as one can be made.
func (a *Allocator) workOnMoving(e *edit, claim nic.Claim, rev store.Rev) (again time.Duration, err error) {
	if claim.NIC != "" || !a.wantsNIC(claim) {
		return 0, nil
	}
	changed, err := a.planMoving(e, &claim)
	if changed {
		e.update(claimKey(claim.ID), claim, rev)
	}
	if claim.NIC == "" {
		again = max(slotAgain, a.untilNextTry(claim))
	}
	return again, err
}
