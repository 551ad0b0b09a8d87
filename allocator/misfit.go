package allocator

import (
	"net/netip"

	"github.com/nicferry/nicferry/allocator/ipam"
	"github.com/nicferry/nicferry/nic"
)

// misfit says what the config does not allow any more of what the claim has;
// "" if there is nothing.
func (a *Allocator) misfit(claim nic.Claim) string {
	id := claim.Identity
	if !hasIdentity(&claim) {
		return ""
	}
	network, ok := a.networks[claim.Request.Network]
	switch {
	case !ok:
		return "network " + claim.Request.Network + " is not in the config any more"
	case network.Addressing != nic.AddrIPAM && len(id.Addrs) > 0 && !recordsOnly(network, id):
		return "network " + network.Name + " gets its addresses by " + string(network.Addressing) + " now"
	case network.Addressing == nic.AddrIPAM && len(id.Addrs) == 0:
		return "network " + network.Name + " gets its addresses by ipam now"
	case len(id.Addrs) > 0 && id.Space != network.Space:
		return "network " + network.Name + " is in space " + network.Space + " now, where an address of this claim is taken; it stays reserved in space " + id.Space
	case network.Addressing != nic.AddrIPAM:
		return ""
	}
	for _, p := range id.Addrs {
		if why := a.misplaced(network, claim.Tenant, p); why != "" {
			return why
		}
	}
	return ""
}

// recordsOnly says whether the addresses of the identity are what the provider
// gave.
func recordsOnly(network nic.Network, id nic.Identity) bool {
	return network.Addressing == nic.AddrProvider && id.Given
}

// misplaced says why an address that a claim has would not be given any more.
func (a *Allocator) misplaced(network nic.Network, tenant string, p netip.Prefix) string {
	now, err := ipam.Fixed(network, p.Addr())
	if err != nil {
		return err.Error()
	}
	if other, ok := a.gateways[spaceAddr{network.Space, p.Addr()}]; ok {
		return p.Addr().String() + " is " + a.gatewayFor(tenant, other) + " now"
	}
	if now != p {
		return p.String() + " is in the subnet " + now.Masked().String() + " now"
	}
	return ""
}
