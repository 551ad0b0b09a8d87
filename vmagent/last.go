package vmagent

import (
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// lastOf is the address that a server on the wire had given to the claim where it
// comes from, in the IP version that is says; none if there is no such one.
func lastOf(w nic.Wanted, is func(netip.Addr) bool) netip.Prefix {
	for _, p := range w.Last {
		if p.IsValid() && is(p.Addr()) && !slices.Contains(w.Layer3.Addrs, p) {
			return p
		}
	}
	return netip.Prefix{}
}

func addrsOf(prefixes []netip.Prefix) []netip.Addr {
	var addrs []netip.Addr
	for _, p := range prefixes {
		addrs = append(addrs, p.Addr())
	}
	return addrs
}
