package allocator

import (
	"context"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// Release says that the container is gone for good. The claim ends once its
// NIC has been taken back. A claim that is not there is no error; an older
// epoch is ErrStale, and so is an older session of the claim's node.
func (a *Allocator) Release(ctx context.Context, id nic.ClaimID, epoch uint64) error {
	node, err := a.release(ctx, id, epoch, func(e *edit, node string) error { return fenceNode(e, "release", node) })
	if err == nil && node != "" {
		a.heard(node)
	}
	return err
}

// release is Release by whoever it is: no sign of life of the claim's node, which
// it returns, or "" if there is no claim. may refuses it, by the claim's node.
func (a *Allocator) release(ctx context.Context, id nic.ClaimID, epoch uint64, may func(e *edit, node string) error) (node string, err error) {
	err = a.atomically(ctx, func(e *edit) error {
		claim, rev, found, err := get[nic.Claim](e, claimKey(id))
		if err != nil || !found {
			return err
		}
		if onMove(claim) {
			node, err = lose(e, claim, rev, may)
			return err
		}
		if fenced && claim.Epoch != epoch {
			return staleEpoch("release", claim, epoch)
		}
		node = claim.Owner.Node
		if err := may(e, node); err != nil {
			return err
		}
		if claim.NIC == "" {
			return a.endClaim(e, claim, rev)
		}
		if claim.Phase == nic.ClaimReleasing {
			return nil
		}
		a.setClaimPhase(&claim, nic.ClaimReleasing)
		nic.ClearCondition(&claim.Conditions)
		e.update(claimKey(id), claim, rev)
		return a.takeBackFor(e, claim)
	})
	return node, err
}

// lose notes that the container of a claim on the move has gone by somebody else's
// hand. What becomes of the claim is the move's to decide; nobody is told that it
// is stale. While the NIC is at its target, it is that one's container that is gone,
// which the move sees by itself.
func lose(e *edit, claim nic.Claim, rev store.Rev, may func(e *edit, node string) error) (node string, err error) {
	m := *claim.Move
	if m.At != m.From.Node {
		return "", nil
	}
	if err := may(e, m.From.Node); err != nil || m.Lost {
		return m.From.Node, err
	}
	m.Lost = true
	claim.Move = &m
	e.update(claimKey(claim.ID), claim, rev)
	return m.From.Node, nil
}

// takeBack sends a NIC on its way home. From here on only the node's word
// "clean" leads further.
func takeBack(e *edit, id nic.ID) error {
	n, rev, found, err := get[nic.NIC](e, nicKey(id))
	if err != nil || !found {
		return err
	}
	if e.homeward(&n) {
		e.update(nicKey(id), n, rev)
	}
	return nil
}

// takeBackFor is takeBack for a claim whose container is done with the NIC. It
// may serve others, where the network has a pool, once the container is gone
// for good.
func (a *Allocator) takeBackFor(e *edit, claim nic.Claim) error {
	n, rev, found, err := get[nic.NIC](e, nicKey(claim.NIC))
	if err != nil || !found {
		return err
	}
	reuse := a.networks[n.Network].Pool.Max > 0 && n.Carrier == "" && n.Phase == nic.PhaseHeld && n.Seen.State == nic.StateAttached
	if e.homeward(&n) {
		n.Reuse = reuse
		e.update(nicKey(n.ID), n, rev)
	}
	return nil
}

// homeward sends a NIC on its way home, unless it is on it already.
func (k clock) homeward(n *nic.NIC) bool {
	if n.Phase == nic.PhaseCooling {
		k.setPhase(n, nic.PhaseSpare) // where its cooling ends
	}
	if n.Phase == nic.PhaseReturning && n.Going != "" { // it was to be carried
		n.Going = ""
		return true
	}
	if !n.Phase.CanBecome(nic.PhaseReturning) {
		return false
	}
	k.setPhase(n, nic.PhaseReturning)
	n.Clean = false
	nic.ClearCondition(&n.Conditions)
	return true
}
