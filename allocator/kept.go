package allocator

import (
	"time"

	"github.com/nicferry/nicferry/nic"
)

// formerDeadline is how long a container waits for the NIC of the last one of
// its name to be given back. Then it gets another identity.
const formerDeadline = 30 * time.Second

// former returns what the last container of the claim's name had in the
// network, or the wait for it to be let go.
func (a *Allocator) former(e *edit, claim nic.Claim, network nic.Network) (nic.Identity, *nic.Condition, error) {
	key := a.ownerName(claim)
	if key == "" {
		return nic.Identity{}, nil, nil
	}
	k, _, found, err := get[nic.Kept](e, key)
	if err != nil || !found || k.Network != network.Name || nic.TenantOf(k.Tenant) != nic.TenantOf(claim.Tenant) || k.Claim == claim.ID {
		return nic.Identity{}, nil, err
	}
	if k.Claim == "" {
		if k.Identity.Space != network.Space || !a.now().Before(k.Until) {
			return nic.Identity{}, nil, nil
		}
		return k.Identity, nil, nil
	}
	last, _, found, err := get[nic.Claim](e, claimKey(k.Claim))
	asked := len(claim.Request.Addrs) > 0 || !claim.Request.MAC.IsZero()
	if err != nil || !found || asked || last.Container != claim.Container {
		return nic.Identity{}, nil, err
	}
	end := claim.Created.Add(formerDeadline)
	if !a.now().Before(end) {
		return nic.Identity{}, nil, nil
	}
	wait := a.because(nic.ReasonWaitingForFormer,
		"the last container %q is still giving back its NIC and with it the address and MAC (claim %s)", claim.Container, last.ID)
	wait.Deadline = end
	return nic.Identity{}, wait, nil
}

// ownerName is what the claim's reservations are kept under; "" if they are
// not.
func (a *Allocator) ownerName(claim nic.Claim) string {
	if a.networks[claim.Request.Network].Keep <= 0 {
		return ""
	}
	return keptKey(claim.Owner, claim.Container)
}

// keepFor notes that the claim has what its container's name is to have.
func (a *Allocator) keepFor(e *edit, claim nic.Claim) error {
	key := a.ownerName(claim)
	if key == "" || !hasIdentity(&claim) {
		return nil
	}
	k, rev, found, err := get[nic.Kept](e, key)
	if err != nil || found && k.Claim == claim.ID {
		return err
	}
	e.update(key, nic.Kept{Schema: nic.Schema, Network: claim.Request.Network, Tenant: claim.Tenant, Claim: claim.ID}, rev)
	return nil
}

// unkeep ends what keepFor noted, for a container that is called otherwise now.
func (a *Allocator) unkeep(e *edit, claim nic.Claim) error {
	key := a.ownerName(claim)
	if key == "" {
		return nil
	}
	k, rev, found, err := get[nic.Kept](e, key)
	if err != nil || !found || k.Claim != claim.ID {
		return err
	}
	e.delete(key, rev)
	return nil
}
