package allocator

import (
	"cmp"
	"context"
	"fmt"

	"github.com/nicferry/nicferry/nic"
)

// A Move says whose a claim is to be from now on.
type Move struct {
	To        nic.Owner // required; its node's agent must have said hello
	Container string    // the new container's name; required
	// Seize does not wait for the node where the NIC is, if the provider can take
	// the NIC out of it by itself.
	Seize bool
}

// Repoint makes a claim another owner's. Its epoch grows: whatever the former
// owner's agent still says of it is ErrStale, however long that agent slept. The
// claim keeps its identity. Its NIC goes home if it is on another node, and the
// claim gets one where it is now as soon as the old one is gone: a MAC and an
// address are never in two places. A claim that is being released, a new owner
// that has a claim already, and one on a node that is lost or revoked, are
// ErrRefused.
func (a *Allocator) Repoint(ctx context.Context, id nic.ClaimID, m Move) (nic.Claim, error) {
	if err := m.To.Validate(); err != nil {
		return nic.Claim{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var claim nic.Claim
	err := a.atomically(ctx, func(e *edit) (err error) {
		claim, err = a.repoint(e, id, m)
		return err
	})
	if err == nil {
		a.opts.Log.Info("claim has another owner", "claim", id, "nic", claim.NIC, "owner", m.To.String(), "epoch", claim.Epoch)
	}
	return claim, err
}

func (a *Allocator) repoint(e *edit, id nic.ClaimID, m Move) (nic.Claim, error) {
	claim, rev, found, err := get[nic.Claim](e, claimKey(id))
	if err != nil || !found {
		return claim, orNotFound(err, "claim %s", id)
	}
	node, err := a.mayRepoint(e, claim, m.To)
	if err != nil {
		return claim, err
	}
	_, ownerRev, _, err := get[nic.ClaimID](e, ownerKey(claim.Owner))
	if err != nil {
		return claim, err
	}
	e.delete(ownerKey(claim.Owner), ownerRev)
	e.create(ownerKey(m.To), id)
	moves := keptKey(claim.Owner, claim.Container) != keptKey(m.To, m.Container)
	if moves {
		if err := a.unkeep(e, claim); err != nil {
			return claim, err
		}
	}
	from := claim.Owner.Node
	claim.Owner, claim.Container = m.To, m.Container
	claim.Epoch++
	claim.Request.Interface = m.To.Interface
	if moves {
		if err := a.keepFor(e, claim); err != nil {
			return claim, err
		}
	}
	if err := a.followOwner(e, &claim, from, node, m.Seize); err != nil {
		return claim, err
	}
	e.update(claimKey(id), claim, rev)
	return claim, nil
}

// mayRepoint is the new owner's node, or why the claim cannot be its.
func (a *Allocator) mayRepoint(e *edit, claim nic.Claim, to nic.Owner) (nic.Node, error) {
	what := fmt.Sprintf("give claim %s to %s", claim.ID, to)
	node, rev, known, err := get[nic.Node](e, nodeKey(to.Node))
	switch {
	case err != nil:
		return node, err
	case !known:
		return node, fmt.Errorf("%s: node %q: %w: its agent has not said hello", what, to.Node, ErrNotFound)
	case node.Phase == nic.NodeLost:
		return node, fmt.Errorf("%s: %w: the node is being forgotten", what, ErrRefused)
	case onMove(claim):
		return node, fmt.Errorf("%s: %w: it is in move %s", what, ErrRefused, claim.Move.Move)
	case claim.Phase == nic.ClaimReleasing:
		return node, fmt.Errorf("%s: %w: it is being released", what, ErrRefused)
	case claim.Owner == to:
		return node, fmt.Errorf("%s: %w: it is its already", what, ErrRefused)
	}
	if err := admitNode(what, node); err != nil {
		return node, err
	}
	e.fenceAt(nodeKey(to.Node), rev)
	other, _, taken, err := get[nic.ClaimID](e, ownerKey(to))
	if err == nil && taken {
		err = fmt.Errorf("%s: %w: claim %s is its already; end that one first", what, ErrRefused, other)
	}
	return node, err
}

// followOwner brings a claim's NIC to where its owner is now.
func (a *Allocator) followOwner(e *edit, claim *nic.Claim, from string, node nic.Node, seize bool) error {
	nic.ClearCondition(&claim.Conditions)
	n, rev, has, err := get[nic.NIC](e, nicKey(cmp.Or(claim.NIC, "none")))
	if err != nil {
		return err
	}
	switch {
	case !has:
		claim.NIC = ""
		return a.grant(e, claim, node)
	case n.Node == claim.Owner.Node: // the new container is beside the old one
		if claim.Phase == nic.ClaimBound {
			a.setClaimPhase(claim, nic.ClaimReady)
		}
		return nil
	}
	a.await(claim, *a.because(nic.ReasonWaitingForNode, "the claim has come from node %s, which is giving its NIC back", from))
	homeward := e.homeward(&n)
	if seize && seizable(n) {
		n.Clean, n.Reuse, homeward = true, false, true
	}
	if homeward {
		e.update(nicKey(n.ID), n, rev)
	}
	return nil
}
