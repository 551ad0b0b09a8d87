package allocator

import (
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// inSpace says of NICs whether they are in the address space.
func (a *Allocator) inSpace(space string) func(belonging) bool {
	return func(b belonging) bool { n, ok := a.networks[b.network]; return ok && n.Space == space }
}

// givenByOthers returns a claim but this one that was seen with the address,
// and has not got it from us. Only the word of its tenant's own nodes counts:
// others could keep all addresses from it by their word alone.
func (a *Allocator) givenByOthers(at spaceAddr, but *nic.Claim) (nic.ClaimID, bool) {
	in := a.inSpace(at.space)
	own := func(b belonging) bool { return b.tenant == nic.TenantOf(but.Tenant) && in(b) }
	for claim := range a.reported.others(at.addr, but.ID, own) {
		return claim, true
	}
	return "", false
}

// doubts are the conditions of a claim that come of comparing it with the
// config and with other claims. They are worked out whenever somebody looks, so
// they are never out of date.
func (a *Allocator) doubts(e *edit, claim nic.Claim) ([]nic.Condition, error) {
	if claim.Phase == nic.ClaimReleasing {
		return nil, nil
	}
	var all []nic.Condition
	for _, why := range []string{a.misfit(claim), a.unentitled(claim)} {
		if why == "" {
			continue
		}
		all = append(all, nic.Condition{
			Reason: nic.ReasonConfigChanged, Since: a.born,
			Message: why + "; the claim keeps what it has for as long as it has its NIC",
		})
	}
	network, ok := a.networks[claim.Request.Network]
	if !ok {
		return all, nil
	}
	clashes, err := a.clashes(e, claim, network.Space)
	return append(all, clashes...), err
}

// clashes are the addresses of the claim that another claim has as well.
func (a *Allocator) clashes(e *edit, claim nic.Claim, space string) ([]nic.Condition, error) {
	addrs, since := a.reported.of(claim.NIC)
	addrs = slices.Clone(addrs)
	for _, p := range claim.Identity.Addrs {
		if !slices.Contains(addrs, p.Addr()) {
			addrs = append(addrs, p.Addr())
		}
	}
	var all []nic.Condition
	for _, addr := range addrs {
		others := a.reported.others(addr, claim.ID, a.inSpace(space))
		r, _, found, err := get[nic.Reservation](e, addrKey(space, addr))
		if err != nil {
			return nil, err
		}
		if found && r.Held() && r.Claim != claim.ID {
			if others == nil {
				others = map[nic.ClaimID]time.Time{}
			}
			others[r.Claim] = since
		}
		for other, at := range others {
			if at.Before(since) {
				at = since // they clash since the later of the two
			}
			all = append(all, nic.Condition{
				Reason: nic.ReasonAddressClash, Since: at,
				Message: addr.String() + " is also the address of " + nameFor(e, claim.Tenant, other) +
					"; see to it that the DHCP server's pool and the networks' ranges are apart, and remove one of the two containers",
			})
		}
	}
	slices.SortFunc(all, func(x, y nic.Condition) int { return x.Since.Compare(y.Since) })
	return all, nil
}
