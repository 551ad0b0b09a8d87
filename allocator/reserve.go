package allocator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// reservedFor is how long a NIC is kept for a container that is about to be made, and
// then to be started: docker run takes a moment, but its image may have to be fetched.
const reservedFor = 5 * time.Minute

// reservedKey is where it is said that a claim waits for a container of that name; ""
// for what is no name that Docker gives.
func reservedKey(o nic.Owner, container string) string {
	kept := keptKey(o, container)
	if kept == "" {
		return ""
	}
	return reservedPrefix + strings.TrimPrefix(kept, keptPrefix)
}

// reserve has a claim wait for a container that is not there yet: whoever makes that
// has to tell Docker of devices which only the claim's NIC has. It does nothing to a
// claim of a container.
func (a *Allocator) reserve(e *edit, claim *nic.Claim) error {
	if claim.Owner.Kind != nic.OwnerReservation {
		return nil
	}
	key := reservedKey(claim.Owner, claim.Container)
	if key == "" {
		return fmt.Errorf("%w: container name %.80q: want one that Docker takes", ErrInvalid, claim.Container)
	}
	other, rev, found, err := get[nic.ClaimID](e, key)
	if err != nil {
		return err
	}
	if found {
		there, _, is, err := get[nic.Claim](e, claimKey(other))
		if err != nil {
			return err
		}
		if is {
			return fmt.Errorf("%w: %s of container %q on node %s is reserved already, until %s (claim %s)", ErrRefused,
				claim.Owner.Interface, claim.Container, claim.Owner.Node, there.ReservedUntil.Format("15:04:05 MST"), other)
		}
	}
	claim.Request.Unstarted, claim.ReservedUntil = true, a.now().Add(reservedFor)
	e.put(key, claim.ID, rev)
	return nil
}

// adopt gives a container that has come the claim that was reserved for its name, with
// all that it has, if it asks for the same. It is another owner's from then on, and of
// a later epoch; adopted is false if there is none.
func (a *Allocator) adopt(e *edit, owner nic.Owner, container string, req nic.Request) (claim nic.Claim, adopted bool, err error) {
	key := reservedKey(owner, container)
	if key == "" || owner.Kind != nic.OwnerContainer {
		return claim, false, nil
	}
	id, keyRev, found, err := getSeldom[nic.ClaimID](e, key)
	if err != nil || !found {
		return claim, false, err
	}
	claim, rev, found, err := get[nic.Claim](e, claimKey(id))
	if err != nil || !found || !isReserved(claim, req) {
		return nic.Claim{}, false, err
	}
	_, ownerRev, _, err := get[nic.ClaimID](e, ownerKey(claim.Owner))
	if err != nil {
		return nic.Claim{}, false, err
	}
	e.delete(ownerKey(claim.Owner), ownerRev)
	e.delete(key, keyRev)
	e.create(ownerKey(owner), id)
	claim.Owner = owner
	claim.Epoch++
	claim.Request.Unstarted, claim.Request.DefaultRoute = req.Unstarted, req.DefaultRoute
	if !req.Unstarted {
		claim.ReservedUntil = time.Time{}
	}
	e.update(claimKey(id), claim, rev)
	log := a.opts.Log.With("claim", id, "nic", claim.NIC, "container", container, "owner", owner.String())
	e.after = append(e.after, func(store.Rev) { log.Info("container has come that a NIC was reserved for") })
	return claim, true, nil
}

// isReserved says whether the claim waits for a container that asks as req does.
func isReserved(claim nic.Claim, req nic.Request) bool {
	r := claim.Request
	return claim.Owner.Kind == nic.OwnerReservation && claim.Phase != nic.ClaimReleasing && !onMove(claim) &&
		len(req.Faults) == 0 && r.Network == req.Network && r.Tenant == req.Tenant && !req.FromImage &&
		r.MAC == req.MAC && slices.Equal(r.Addrs, req.Addrs)
}

// unstarted ends a claim whose container has not come in time, or, where it is the
// container's already, has it wait like any other that was never started.
func (a *Allocator) unstarted(e *edit, claim nic.Claim, rev store.Rev) error {
	if claim.Owner.Kind != nic.OwnerReservation {
		return lapse(e, claim, rev)
	}
	log := a.opts.Log.With("claim", claim.ID, "nic", claim.NIC, "container", claim.Container, "node", claim.Owner.Node)
	e.after = append(e.after, func(store.Rev) { log.Warn("reservation is over, no container of that name has come") })
	if claim.NIC == "" {
		return a.endClaim(e, claim, rev)
	}
	a.setClaimPhase(&claim, nic.ClaimReleasing)
	nic.ClearCondition(&claim.Conditions)
	e.update(claimKey(claim.ID), claim, rev)
	return a.takeBackFor(e, claim)
}

// unreserve ends what reserve has noted for a claim that ends.
func unreserve(e *edit, claim nic.Claim) error {
	if claim.Owner.Kind != nic.OwnerReservation {
		return nil
	}
	key := reservedKey(claim.Owner, claim.Container)
	id, rev, found, err := get[nic.ClaimID](e, key)
	if err != nil || !found || id != claim.ID {
		return err
	}
	e.delete(key, rev)
	return nil
}

// keepsDevice says whether the container of the claim has been made with the device of
// its NIC n, which programs drive themselves. It has that until it is removed, and no
// other: taken back, the NIC would be missing at its next start, or be another
// container's by then.
func (a *Allocator) keepsDevice(claim nic.Claim, n nic.NIC) bool {
	if claim.Owner.Kind != nic.OwnerContainer || !n.Seen.Device.VF.UserSpace && !a.networks[claim.Request.Network].Functions.UserSpace {
		return false
	}
	return !claim.Request.Unstarted || !claim.ReservedUntil.IsZero() // what was made ahead for a label alone, has none
}
