package allocator

import (
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// takeNIC counts a NIC for the claim, or says that its tenant has as many as it
// may. undo takes it back, if it is not planned after all.
func (a *Allocator) takeNIC(e *edit, claim nic.Claim) (refusal *nic.Condition, undo func(), err error) {
	tenant := nic.TenantOf(claim.Tenant)
	most := a.usage.quotas[tenant].NICs
	of, undo, err := a.usage.take(e, tenant, most, claimKey(claim.ID))
	if undo == nil {
		return a.because(nic.ReasonQuotaExceeded,
			"tenant %s has %d of %d NICs; the next is given when one of them is given back", tenant, of.has, most), func() {}, nil
	}
	return nil, undo, err
}

// takeAddrs counts the addresses that are about to be reserved.
func (i *identifying) takeAddrs() (*nic.Condition, error) {
	var keys []string
	for _, r := range i.reserve {
		if strings.HasPrefix(r.key, addrPrefix) {
			keys = append(keys, r.key)
		}
	}
	tenant := nic.TenantOf(i.claim.Tenant)
	most := i.a.usage.quotas[tenant].Addresses
	of, undo, err := i.a.usage.take(i.e, tenant, most, keys...)
	if undo != nil || err != nil {
		return nil, err
	}
	if of.room.IsZero() {
		return i.a.because(nic.ReasonQuotaExceeded,
			"tenant %s has %d of %d addresses, and needs %d for this container; it is tried again when some are given back",
			tenant, of.has, most, len(keys)), nil
	}
	c := i.a.because(nic.ReasonQuotaExceeded,
		"tenant %s has %d of %d addresses, some of which cool down, and needs %d for this container; it is tried again at %s",
		tenant, of.has, most, len(keys), of.room.Format("15:04:05 MST"))
	c.Deadline = of.room
	return c, nil
}

// lacksQuota says whether the claim was refused because its tenant has as much
// as it may.
func lacksQuota(c nic.Claim) bool {
	return slices.ContainsFunc(c.Conditions, func(c nic.Condition) bool { return c.Reason == nic.ReasonQuotaExceeded })
}
