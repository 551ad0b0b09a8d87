package allocator

import (
	"context"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// workOnClaim gives back the NIC of a container that does not run, once its
// network's hold or preplug is over, unless the container has its device; and sees to it that refused claims are
// tried again when that may help.
func (a *Allocator) workOnClaim(ctx context.Context, id nic.ClaimID) (again time.Duration, err error) {
	retry, seat, keeps := false, nic.ID(""), false
	err = a.asLeader(ctx, func(e *edit) error {
		claim, rev, found, err := get[nic.Claim](e, claimKey(id))
		again, retry = 0, !found // it may have been in the way of others
		seat, keeps = "", false
		if err == nil && claim.NIC != "" && !onMove(claim) {
			n, _, _, nicErr := peek[nic.NIC](e, nicKey(claim.NIC))
			if err = nicErr; n.Next != "" {
				seat = claim.NIC
			}
			keeps = a.keepsDevice(claim, n)
		}
		switch {
		case err != nil || !found || claim.Phase == nic.ClaimReleasing:
			return err
		case onMove(claim):
			again, err = a.workOnMoving(e, claim, rev)
			return err
		case claim.Phase == nic.ClaimMoving || claim.Phase == nic.ClaimParked:
			return a.forgottenMove(e, claim, rev)
		case a.lacksSeat(claim):
			return a.grantSeat(e, claim, rev)
		case isAhead(claim) && !keeps:
			if again = a.aheadLeft(claim); again == 0 {
				return a.unstarted(e, claim, rev)
			}
		case claim.NIC != "" && !claim.StoppedAt.IsZero() && claim.Phase != nic.ClaimPending && !keeps: // pending: on its way back already
			if again = a.holdLeft(claim); again == 0 {
				a.setClaimPhase(&claim, nic.ClaimPending)
				e.update(claimKey(id), claim, rev)
				return a.takeBackFor(e, claim) // the container may be gone for good before it is clean
			}
		}
		if claim.Phase == nic.ClaimRefused && claim.StoppedAt.IsZero() && claim.NIC == "" {
			wait := a.untilNextTry(claim)
			retry = wait == 0 && (a.lacksSlot(claim) || len(claim.Setbacks) > 0)
			again = shorter(again, wait)
		}
		if left, ends := a.endsBySelf(claim); ends && a.mayGrant(claim) {
			retry = retry || left == 0
			again = shorter(again, left)
		}
		return nil
	})
	if seat != "" { // it has moved, or was to, and a place is kept for it still
		a.queue.Wake(nicKey(seat))
	}
	if err == nil && retry {
		a.queue.Wake(refusedKey)
	}
	return again, err
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

// isAhead says whether the claim's container was never started, and is waited
// for.
func isAhead(claim nic.Claim) bool {
	return claim.Request.Unstarted && claim.StoppedAt.IsZero() && claim.Phase != nic.ClaimReleasing && !onMove(claim)
}

// lapse gives up waiting for a container that was never started. Its claim
// stays, with all that it has but the NIC.
func lapse(e *edit, claim nic.Claim, rev store.Rev) error {
	claim.StoppedAt = e.now()
	if claim.NIC != "" {
		e.setClaimPhase(&claim, nic.ClaimPending)
	}
	e.update(claimKey(claim.ID), claim, rev)
	if claim.NIC == "" {
		return nil
	}
	return takeBack(e, claim.NIC)
}

// aheadLeft is how long a container that was never started is still waited for, and one
// that was never made for as long as was said.
func (a *Allocator) aheadLeft(claim nic.Claim) time.Duration {
	reserved := max(0, a.until(claim.ReservedUntil))
	if claim.Owner.Kind == nic.OwnerReservation {
		return reserved
	}
	end := claim.Created.Add(a.networks[claim.Request.Network].Preplug.D())
	return max(reserved, a.until(end))
}

// awaitsFormer says whether the claim waits for the last container of its name.
func awaitsFormer(claim nic.Claim) bool {
	return claim.Phase == nic.ClaimPending && claim.NIC == "" &&
		slices.ContainsFunc(claim.Conditions, func(c nic.Condition) bool { return c.Reason == nic.ReasonWaitingForFormer })
}

// endsBySelf is how long what keeps a claim from its NIC lasts at most, and
// whether it has an end at all.
func (k clock) endsBySelf(claim nic.Claim) (time.Duration, bool) {
	for _, c := range claim.Conditions {
		if !c.Deadline.IsZero() {
			return max(0, k.until(c.Deadline)), true
		}
	}
	return 0, false
}

// shorter is the shorter wait; 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
