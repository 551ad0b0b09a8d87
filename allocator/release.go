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
			return forget(e, claim, rev)
		}
		if claim.Phase == nic.ClaimReleasing {
			return nil
		}
		setClaimPhase(&claim, nic.ClaimReleasing)
		nic.ClearCondition(&claim.Conditions)
		e.update(claimKey(id), claim, rev)
		return takeBack(e, claim.NIC)
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
	setPhase(&n, nic.PhaseReturning)
	n.Clean = false
	nic.ClearCondition(&n.Conditions)
	e.update(nicKey(id), n, rev)
	return nil
}

// forget ends a claim that holds no NIC: its record, its place in the owner
// index and everything reserved for it.
func forget(e *edit, claim nic.Claim, rev store.Rev) error {
	e.delete(claimKey(claim.ID), rev)
	// A MAC that the provider drew is in the identity and was never reserved:
	// the record under its key may be another claim's.
	keys := []string{ownerKey(claim.Owner)}
	if !claim.Identity.MAC.IsZero() {
		keys = append(keys, macKey(claim.Identity.MAC))
	}
	for _, p := range claim.Identity.Addrs {
		keys = append(keys, addrKey(claim.Identity.Space, p.Addr()))
	}
	for _, key := range keys {
		holder, rev, found, err := get[nic.ClaimID](e, key)
		if err != nil {
			return err
		}
		if found && holder == claim.ID {
			e.delete(key, rev)
		}
	}
	return nil
}

// workOnClaim gives a stopped container's NIC back once its network's hold is
// over, and wakes refused claims when one that may have been in their way ends.
func (a *Allocator) workOnClaim(ctx context.Context, id nic.ClaimID) (again time.Duration, err error) {
	gone := false
	err = a.asLeader(ctx, func(e *edit) error {
		claim, rev, found, err := get[nic.Claim](e, claimKey(id))
		if gone = !found; err != nil || gone {
			return err
		}
		if again = a.holdLeft(claim); again > 0 || claim.StoppedAt.IsZero() || claim.NIC == "" || claim.Phase == nic.ClaimReleasing {
			return nil
		}
		if claim.Phase == nic.ClaimPending {
			return nil // on its way back already
		}
		setClaimPhase(&claim, nic.ClaimPending)
		e.update(claimKey(id), claim, rev)
		return takeBack(e, claim.NIC)
	})
	if err == nil && gone {
		err = a.retryRefused(ctx)
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
	return max(0, time.Until(end))
}

// retryRefused tries every refused claim again.
func (a *Allocator) retryRefused(ctx context.Context) error {
	claims, _, err := store.ListJSON[nic.Claim](ctx, a.opts.Store, claimPrefix, "", 0)
	if err != nil {
		return err
	}
	for _, r := range claims {
		c := r.Value
		if c.Phase != nic.ClaimRefused || !c.StoppedAt.IsZero() {
			continue
		}
		err := a.atomically(ctx, func(e *edit) error {
			_, err := a.acquire(e, c.Owner, c.Container, c.Request)
			return err
		})
		if err != nil {
			return fmt.Errorf("try refused claim %s again: %w", c.ID, err)
		}
	}
	return nil
}
