package allocator

import (
	"errors"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// end removes the NIC's record and settles its holder: a releasing claim ends
// with it, one whose container runs again gets a new NIC.
func (a *Allocator) end(e *edit, id nic.ID) error {
	return a.endWith(e, id, func(*nic.Claim) {})
}

// endWith is end, and does something to the holder before it is settled.
func (a *Allocator) endWith(e *edit, id nic.ID, do func(*nic.Claim)) error {
	n, rev, found, err := get[nic.NIC](e, nicKey(id))
	if err != nil || !found {
		return err
	}
	e.delete(nicKey(id), rev)
	if err := errors.Join(e.drop(onKey(n.Node, id)), e.dropForGood(observedKey(id))); err != nil {
		return err
	}
	if err := a.letMACGo(e, n); err != nil {
		return err
	}
	if n.Carrier != "" {
		err = a.unseat(e, n)
	} else if n.Carries {
		err = a.uncarry(e, n)
	}
	if err != nil {
		return err
	}
	claim, claimRev, found, err := get[nic.Claim](e, claimKey(n.Holder))
	if err != nil || !found || claim.NIC != id {
		return err
	}
	do(&claim)
	if n.Carrier != "" {
		claim.Identity = nic.Identity{} // it was the seat's
	}
	return a.settle(e, claim, claimRev)
}

func (a *Allocator) settle(e *edit, claim nic.Claim, rev store.Rev) error {
	if claim.Phase == nic.ClaimReleasing {
		return a.endClaim(e, claim, rev)
	}
	claim.NIC = ""
	if onMove(claim) {
		clearWaits(&claim)
		_, err := a.planMoving(e, &claim)
		e.update(claimKey(claim.ID), claim, rev)
		return err
	}
	if claim.Phase != nic.ClaimRefused {
		nic.ClearCondition(&claim.Conditions) // they were about the NIC
	}
	// A seat that has just ended and the next are in one record, which one commit
	// writes once: work on the claim, which this wakes, gets it the next.
	if claim.Phase == nic.ClaimPending && claim.StoppedAt.IsZero() && !a.lacksSeat(claim) {
		node, nodeRev, found, err := get[nic.Node](e, nodeKey(claim.Owner.Node))
		if err != nil {
			return err
		}
		if found {
			e.fenceAt(nodeKey(node.Name), nodeRev)
			if err := a.grant(e, &claim, node); err != nil {
				return err
			}
		}
	}
	e.update(claimKey(claim.ID), claim, rev)
	return nil
}

// endClaim ends a claim that holds no NIC: its record, its place in the owner
// index and its hold on everything reserved for it.
func (a *Allocator) endClaim(e *edit, claim nic.Claim, rev store.Rev) error {
	e.delete(claimKey(claim.ID), rev)
	holder, ownerRev, found, err := get[nic.ClaimID](e, ownerKey(claim.Owner))
	if err != nil {
		return err
	}
	if found && holder == claim.ID {
		e.delete(ownerKey(claim.Owner), ownerRev)
	}
	if err := unreserve(e, claim); err != nil {
		return err
	}
	return a.letGo(e, claim)
}
