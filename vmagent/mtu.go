package vmagent

import (
	"time"

	"github.com/nicferry/nicferry/nic"
)

// The least that a NIC's MTU may be, in bytes, by what it carries: less, and
// the kernel switches the IP version off (RFC 791, RFC 8200).
const (
	minMTU     = 576
	minMTUIPv6 = 1280
)

// mtu is the MTU that a NIC is to have in its container, in bytes: what the
// DHCP server asks for, within the recipe's; 0 leaves it to the recipe.
func (a *Agent) mtu(w nic.Wanted) (int, error) {
	if !w.Layer3.DHCP {
		return 0, nil
	}
	clean, err := a.maker.Clean(w.NIC, w.Device)
	if err != nil {
		return 0, err
	}
	said := a.leasedMTU(w)
	mtu := clampMTU(said, clean.MTU, w.Layer3.IPv6)
	p := a.plugs.of(w)
	if said != 0 && mtu != said && p.saidMTU != said {
		a.opts.Log.Warn("lease's MTU is not taken as it is", "nic", w.NIC, "claim", w.Claim, "lease", said, "recipe", clean.MTU, "mtu", mtu)
	}
	p.saidMTU = said
	return mtu, nil
}

// leasedMTU is what the lease says, the one of before a restart too; 0 if that
// is nothing.
func (a *Agent) leasedMTU(w nic.Wanted) int {
	if p := a.plugs.of(w); p.keeper != nil {
		state := p.keeper.State()
		if !state.Bound {
			return 0
		}
		return state.Lease.MTU
	}
	lease, err := a.cache.lease(w.NIC)
	if err != nil || !lease.Usable(time.Now()) {
		return 0 // the keeper that is started next tells what is the matter
	}
	return lease.MTU
}

// clampMTU keeps what a lease says between what the IP version needs and what
// the recipe gives; the recipe wins.
func clampMTU(said, recipe int, ipv6 bool) int {
	if said == 0 {
		return recipe
	}
	least := minMTU
	if ipv6 {
		least = minMTUIPv6
	}
	return min(max(said, least), recipe)
}
