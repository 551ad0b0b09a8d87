package allocator

import (
	"context"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// Release says that the container is gone for good. The claim ends once its
// NIC has been taken back. A claim that is not there is no error; an older
// epoch is ErrStale.
func (a *Allocator) Release(ctx context.Context, id nic.ClaimID, epoch uint64) error {
	return a.atomically(ctx, func(e *edit) error {
		claim, rev, found, err := get[nic.Claim](e, claimKey(id))
		if err != nil || !found {
			return err
		}
		if claim.Epoch != epoch {
			return fmt.Errorf("release claim %s: epoch %d is %w, it is at %d", id, epoch, ErrStale, claim.Epoch)
		}
		a.heard(claim.Owner.Node)
		if claim.NIC == "" {
			return a.forget(e, claim, rev)
		}
		if claim.Phase == nic.ClaimReleasing {
			return nil
		}
		a.setClaimPhase(&claim, nic.ClaimReleasing)
		nic.ClearCondition(&claim.Conditions)
		e.update(claimKey(id), claim, rev)
		return a.takeBackFor(e, claim)
	})
}

// takeBack sends a NIC on its way home. From here on only the node's word
// "clean" leads further.
func takeBack(e *edit, id nic.ID) error {
	n, rev, found, err := get[nic.NIC](e, nicKey(id))
	if err != nil || !found {
		return err
	}
	if !n.Phase.CanBecome(nic.PhaseReturning) {
		return nil // on its way already
	}
	e.setPhase(&n, nic.PhaseReturning)
	n.Clean = false
	nic.ClearCondition(&n.Conditions)
	e.update(nicKey(id), n, rev)
	return nil
}

// forget ends a claim that holds no NIC: its record, its place in the owner
// index and its hold on everything reserved for it.
func (a *Allocator) forget(e *edit, claim nic.Claim, rev store.Rev) error {
	e.delete(claimKey(claim.ID), rev)
	holder, ownerRev, found, err := get[nic.ClaimID](e, ownerKey(claim.Owner))
	if err != nil {
		return err
	}
	if found && holder == claim.ID {
		e.delete(ownerKey(claim.Owner), ownerRev)
	}
	return a.letGo(e, claim)
}

// workOnClaim gives back the NIC of a container that does not run, once its
// network's hold or preplug is over, and sees to it that refused claims are
// tried again when that may help.
func (a *Allocator) workOnClaim(ctx context.Context, id nic.ClaimID) (again time.Duration, err error) {
	retry := false
	err = a.asLeader(ctx, func(e *edit) error {
		claim, rev, found, err := get[nic.Claim](e, claimKey(id))
		again, retry = 0, !found // it may have been in the way of others
		switch {
		case err != nil || !found || claim.Phase == nic.ClaimReleasing:
			return err
		case isAhead(claim):
			if again = a.aheadLeft(claim); again == 0 {
				return lapse(e, claim, rev)
			}
		case claim.NIC != "" && !claim.StoppedAt.IsZero() && claim.Phase != nic.ClaimPending: // pending: on its way back already
			if again = a.holdLeft(claim); again == 0 {
				a.setClaimPhase(&claim, nic.ClaimPending)
				e.update(claimKey(id), claim, rev)
				return a.takeBackFor(e, claim) // the container may be gone for good before it is clean
			}
		}
		if claim.Phase == nic.ClaimRefused && claim.StoppedAt.IsZero() && claim.NIC == "" {
			wait := a.untilNextTry(claim)
			retry = wait == 0 && (lacksSlot(claim) || len(claim.Setbacks) > 0)
			again = shorter(again, wait)
		}
		if left, ends := a.endsBySelf(claim); ends && a.mayGrant(claim) {
			retry = retry || left == 0
			again = shorter(again, left)
		}
		return nil
	})
	if err == nil && retry {
		a.queue.Wake(refusedKey)
	}
	return again, err
}

// shorter is the shorter wait; 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// holdLeft is how long a stopped container still keeps its NIC; 0 if it is not
// stopped, or not any more.
func (a *Allocator) holdLeft(claim nic.Claim) time.Duration {
	if claim.StoppedAt.IsZero() || claim.NIC == "" {
		return 0
	}
	end := claim.StoppedAt.Add(a.networks[claim.Request.Network].Hold.D())
	return max(0, a.until(end))
}
