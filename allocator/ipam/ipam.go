// Package ipam decides which address a claim gets. It is pure: what is taken
// is asked of the caller, who also makes the choice durable.
package ipam

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// Pick returns the first free address of the network's ranges for one family,
// subnet by subnet and range by range, with its subnet's prefix length. It
// reports false if none is free, or there is no range for the family.
func Pick(n nic.Network, ipv6 bool, taken func(netip.Addr) bool) (netip.Prefix, bool) {
	for _, s := range n.Subnets {
		if s.Prefix.Addr().Is6() != ipv6 {
			continue
		}
		for _, r := range s.Ranges {
			for addr := r.First; r.Contains(addr); addr = addr.Next() {
				if skip, ok := excluded(s, addr); ok {
					addr = skip
					continue
				}
				if Assignable(s, addr) == nil && !taken(addr) {
					return netip.PrefixFrom(addr, s.Prefix.Bits()), true
				}
			}
		}
	}
	return netip.Prefix{}, false
}

// excluded says whether addr is in an excluded range, and that range's end, so
// that a wide exclusion is stepped over at once.
func excluded(s nic.Subnet, addr netip.Addr) (last netip.Addr, ok bool) {
	for _, x := range s.Exclude {
		if x.Contains(addr) {
			return x.Last, true
		}
	}
	return netip.Addr{}, false
}

// HasRange says whether the network gives out addresses of the family.
func HasRange(n nic.Network, ipv6 bool) bool {
	for _, s := range n.Subnets {
		if s.Prefix.Addr().Is6() == ipv6 && len(s.Ranges) > 0 {
			return true
		}
	}
	return false
}

// Fixed checks an address that a user asked for and returns it with its
// subnet's prefix length. Any address of the network's subnets will do, in a
// range or not, unless it is excluded or not a host's.
func Fixed(n nic.Network, addr netip.Addr) (netip.Prefix, error) {
	s, ok := n.SubnetOf(addr)
	if !ok {
		return netip.Prefix{}, fmt.Errorf("%s is in none of the subnets of network %s (%s)", addr, n.Name, subnets(n))
	}
	if err := Assignable(s, addr); err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(addr, s.Prefix.Bits()), nil
}

// Assignable says why addr, which lies in the subnet, can be no container's.
func Assignable(s nic.Subnet, addr netip.Addr) error {
	if addr == s.Gateway {
		return fmt.Errorf("%s is the gateway of subnet %s", addr, s.Prefix)
	}
	if _, ok := excluded(s, addr); ok {
		return fmt.Errorf("%s is excluded from subnet %s by the config", addr, s.Prefix)
	}
	if addr.BitLen()-s.Prefix.Bits() < 2 {
		return nil // RFC 3021 and RFC 6164: both ends of a /31 and a /127 are hosts
	}
	if addr == s.Prefix.Masked().Addr() {
		return fmt.Errorf("%s is the address of subnet %s itself", addr, s.Prefix)
	}
	if addr.Is4() && !s.Prefix.Contains(addr.Next()) {
		return fmt.Errorf("%s is the broadcast address of subnet %s", addr, s.Prefix)
	}
	return nil
}

// Describe lists the ranges of one family for an exhaustion message.
func Describe(n nic.Network, ipv6 bool) string {
	var text string
	for _, s := range n.Subnets {
		if s.Prefix.Addr().Is6() != ipv6 {
			continue
		}
		for _, r := range s.Ranges {
			if text != "" {
				text += ", "
			}
			text += r.String()
		}
	}
	return text
}

func subnets(n nic.Network) string {
	text := "none"
	for i, s := range n.Subnets {
		if i == 0 {
			text = s.Prefix.String()
			continue
		}
		text += ", " + s.Prefix.String()
	}
	return text
}

// Size4 counts the IPv4 addresses that the network's ranges can give.
func Size4(n nic.Network) int {
	size := 0
	for _, s := range n.Subnets {
		for _, r := range s.Ranges {
			for addr := r.First; addr.Is4() && r.Contains(addr); addr = addr.Next() {
				if Assignable(s, addr) == nil {
					size++
				}
			}
		}
	}
	return size
}

// InRange says whether addr is one that Size4 counts.
func InRange(n nic.Network, addr netip.Addr) bool {
	s, ok := n.SubnetOf(addr)
	if !ok || !addr.Is4() || Assignable(s, addr) != nil {
		return false
	}
	return slices.ContainsFunc(s.Ranges, func(r nic.Range) bool { return r.Contains(addr) })
}
