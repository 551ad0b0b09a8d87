package allocator

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// FinishMove makes the claims the target's: the pivot, one commit. From then on
// the former owner gets none of its own until ForgetMoved. Claims whose NICs are
// not on the target's node are ErrRefused. Once it is done, the same again is no
// error.
func (a *Allocator) FinishMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID) error {
	what := "finish move " + string(move)
	done, err := a.allDone(ctx, move, ids)
	if done || err != nil {
		return err
	}
	var over []nic.Claim
	err = a.changeMove(ctx, what, move, ids, func(e *edit, claim *nic.Claim) (bool, error) {
		if claim.ID == ids[0] {
			over = nil
		}
		err := a.pivot(e, claim)
		over = append(over, *claim)
		return true, err
	})
	if err == nil {
		a.ended("claim has moved", move, over)
	}
	return err
}

// ended logs what has become of claims whose move is over, and has those tried
// again that lack the slots that were kept for them.
func (a *Allocator) ended(step string, move nic.MoveID, claims []nic.Claim) {
	for _, claim := range claims {
		a.opts.Log.Info(step, "move", move, "claim", claim.ID, "nic", claim.NIC, "owner", claim.Owner.String(), "epoch", claim.Epoch)
	}
	a.queue.Wake(refusedKey)
}

// allDone says whether the move's pivot is done already: each claim's former owner
// is known to have given it away.
func (a *Allocator) allDone(ctx context.Context, move nic.MoveID, ids []nic.ClaimID) (bool, error) {
	given, _, err := store.ListJSON[moved](ctx, a.opts.Store, movedPrefix, "", 0)
	if err != nil {
		return false, err
	}
	left := map[nic.ClaimID]bool{}
	for _, id := range ids {
		left[id] = true
	}
	for _, r := range given {
		if r.Value.Move == move {
			delete(left, r.Value.Claim)
		}
	}
	return len(left) == 0, nil
}

// pivot makes a claim the target's.
func (a *Allocator) pivot(e *edit, claim *nic.Claim) error {
	m := claim.Move
	if m.To.Sandbox == "" || m.At != m.To.Node {
		return fmt.Errorf("%w: its NIC is to be on node %s, and the target's container is %.12q", ErrRefused, m.At, m.To.Sandbox)
	}
	n, rev, found, err := get[nic.NIC](e, nicKey(cmp.Or(claim.NIC, "none")))
	if err != nil {
		return err
	}
	if !found || n.Node != m.To.Node || n.Phase != nic.PhaseHeld {
		return fmt.Errorf("%w: its NIC is not on node %s yet", ErrRefused, m.To.Node)
	}
	said, _, found, err := get[nic.Observed](e, observedKey(n.ID))
	if err != nil {
		return err
	}
	phase := nic.ClaimReady
	if found && counts(said, *claim, n) && said.State == nic.ObservedIn {
		phase = nic.ClaimBound
	}
	e.check(nicKey(n.ID), rev)
	if err := a.rename(e, claim); err != nil {
		return err
	}
	holder, ownerRev, found, err := get[nic.ClaimID](e, ownerKey(m.From))
	if err != nil {
		return err
	}
	if found && holder == claim.ID {
		e.delete(ownerKey(m.From), ownerRev)
	}
	_, givenRev, _, err := get[moved](e, movedKey(m.From))
	if err != nil {
		return err
	}
	e.update(movedKey(m.From), moved{Schema: nic.Schema, Move: m.Move, Claim: claim.ID, To: m.To, Target: m.Target}, givenRev)
	claim.Request.Unstarted, claim.StoppedAt = false, time.Time{} // until the node says otherwise
	return a.endMove(e, claim, phase)
}

// rename makes the target the claim's owner, with what is kept for its name.
func (a *Allocator) rename(e *edit, claim *nic.Claim) error {
	m := claim.Move
	moves := keptKey(claim.Owner, claim.Container) != keptKey(m.To, m.Target)
	if moves {
		if err := a.unkeep(e, *claim); err != nil {
			return err
		}
	}
	claim.Owner, claim.Container = m.To, m.Target
	if moves {
		return a.keepFor(e, *claim)
	}
	return nil
}

// endMove ends a claim's move, in the phase.
func (a *Allocator) endMove(e *edit, claim *nic.Claim, phase nic.ClaimPhase) error {
	if err := e.drop(movingKey(claim.Move.To, claim.Move.Target)); err != nil {
		return err
	}
	claim.Move = nil
	claim.Epoch++
	claim.Conditions, claim.Setbacks = nil, nil
	a.setClaimPhase(claim, phase)
	ended := *claim
	e.after = append(e.after, func(store.Rev) { a.trips.learn(ended) })
	return nil
}

// CancelMove makes the claims again what they were. A NIC that is not back yet
// goes home or comes back by itself; a claim whose container has gone meanwhile is
// released. Once it is done, the same again is no error.
func (a *Allocator) CancelMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID) error {
	var over []nic.Claim
	err := a.atomically(ctx, func(e *edit) error {
		over = nil
		for _, id := range ids {
			claim, rev, found, err := get[nic.Claim](e, claimKey(id))
			if err != nil {
				return err
			}
			if !found || !onMove(claim) || claim.Move.Move != move {
				continue // it is over
			}
			if err := a.cancel(e, &claim, rev); err != nil {
				return fmt.Errorf("cancel move %s of claim %s: %w", move, id, err)
			}
			over = append(over, claim)
		}
		return nil
	})
	if err == nil {
		a.ended("claim does not move after all", move, over)
	}
	return err
}

func (a *Allocator) cancel(e *edit, claim *nic.Claim, rev store.Rev) error {
	m := *claim.Move
	if err := e.unaim(*claim); err != nil {
		return err
	}
	node, nodeRev, known, err := get[nic.Node](e, nodeKey(m.From.Node))
	if err != nil {
		return err
	}
	if m.Lost || !known {
		return a.endLost(e, claim, rev)
	}
	m.At = m.From.Node
	claim.Move = &m
	phase, err := a.cameBack(e, claim)
	if err != nil {
		return err
	}
	if err := a.endMove(e, claim, phase); err != nil {
		return err
	}
	if claim.NIC == "" && claim.StoppedAt.IsZero() { // it was lost on the way
		e.fenceAt(nodeKey(node.Name), nodeRev)
		if err := a.grant(e, claim, node); err != nil {
			return err
		}
	}
	e.update(claimKey(claim.ID), *claim, rev)
	return nil
}

// cameBack is the phase that a claim has with the NIC that it has, which is led
// back if it is elsewhere.
func (a *Allocator) cameBack(e *edit, claim *nic.Claim) (nic.ClaimPhase, error) {
	n, _, found, err := get[nic.NIC](e, nicKey(cmp.Or(claim.NIC, "none")))
	switch {
	case err != nil:
		return "", err
	case !found:
		return nic.ClaimPending, nil
	case n.Node != claim.Move.From.Node || n.Phase != nic.PhaseHeld:
		if _, err := a.guide(e, claim, nil); err != nil {
			return "", err
		}
		if staysIn(n) && n.Node == claim.Move.From.Node && a.wantsNIC(*claim) {
			return nic.ClaimReady, nil
		}
		return nic.ClaimPending, nil
	}
	said, _, found, err := get[nic.Observed](e, observedKey(n.ID))
	if err == nil && found && counts(said, *claim, n) && said.State == nic.ObservedIn {
		return nic.ClaimBound, nil
	}
	return nic.ClaimReady, err
}

// endLost releases a claim whose container has gone while it moved, or whose node.
func (a *Allocator) endLost(e *edit, claim *nic.Claim, rev store.Rev) error {
	if err := a.endMove(e, claim, nic.ClaimReleasing); err != nil {
		return err
	}
	if claim.NIC == "" {
		return a.endClaim(e, *claim, rev)
	}
	e.update(claimKey(claim.ID), *claim, rev)
	return takeBack(e, claim.NIC)
}

// ParkMove shows why a move can go neither way; "" shows that it goes on.
func (a *Allocator) ParkMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, why string) error {
	return a.changeMove(ctx, "park move "+string(move), move, ids, func(_ *edit, claim *nic.Claim) (bool, error) {
		if why == "" {
			cleared := nic.ClearCondition(&claim.Conditions, nic.ReasonMoveParked)
			changed := cleared || claim.Phase != nic.ClaimMoving
			a.setClaimPhase(claim, nic.ClaimMoving)
			return changed, nil
		}
		set := nic.SetCondition(&claim.Conditions, *a.because(nic.ReasonMoveParked, "move %s: %s", move, why))
		changed := set || claim.Phase != nic.ClaimParked
		a.setClaimPhase(claim, nic.ClaimParked)
		return changed, nil
	})
}

// ForgetMoved lets a container that gave its claims away have some anew, because
// it is gone or because it is to get them back.
func (a *Allocator) ForgetMoved(ctx context.Context, node, sandbox string) error {
	prefix := movedOf(node) + sandbox + "/"
	return a.atomically(ctx, func(e *edit) error {
		given, _, err := e.store.List(e.ctx, prefix, "", 0)
		if err != nil {
			return fmt.Errorf("read what container %.12s of node %s gave away: %w", sandbox, node, err)
		}
		for _, r := range given {
			e.delete(r.Key, r.Rev)
		}
		return nil
	})
}

// elsewhere decides about a container interface that has no claim of its own. One
// that a claim is on its way to gets that, and one that has given its claim away
// is refused, and neither makes one; decided is false for all others.
func (a *Allocator) elsewhere(e *edit, owner nic.Owner, container string) (claim nic.Claim, decided bool, err error) {
	given, _, found, err := getSeldom[moved](e, movedKey(owner))
	if err != nil {
		return claim, false, err
	}
	if found {
		claim = nic.Claim{
			Schema: nic.Schema, ID: given.Claim, Owner: owner, Container: container, Epoch: 1, Created: a.now(), Since: a.now(),
		}
		a.refuse(&claim, *a.because(nic.ReasonMoved,
			"the container has moved to %q on node %s (%s), with its MAC and addresses; remove this one, or move that one back: nicferry migrate %s --from %s --to %s",
			given.Target, given.To.Node, given.Move, given.Target, given.To.Node, owner.Node))
		return claim, true, nil
	}
	return a.movingTo(e, owner, container)
}
