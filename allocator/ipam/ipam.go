// Package ipam decides which address a claim gets, and which number a network.
// It is pure: who holds what is told to it by the caller, who also makes the
// choice durable.
package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// Spans returns what the network's ranges of one IP version give, subnet by
// subnet and range by range: without the excluded, without the addresses that
// can be no container's, and without the gateways, which may be another
// network's on the same LAN.
func Spans(n nic.Network, ipv6 bool, gateways []netip.Addr) []Span[netip.Addr] {
	var spans []Span[netip.Addr]
	for _, s := range n.Subnets {
		if s.Prefix.Addr().Is6() != ipv6 {
			continue
		}
		for _, r := range s.Ranges {
			var free set
			free.add(pointOf(r.First), pointOf(r.Last))
			for _, x := range s.Exclude {
				free.remove(pointOf(x.First), pointOf(x.Last))
			}
			for _, addr := range append(notHosts(s.Prefix), gateways...) {
				free.remove(pointOf(addr), pointOf(addr))
			}
			if s.Gateway.IsValid() {
				free.remove(pointOf(s.Gateway), pointOf(s.Gateway))
			}
			for _, part := range free.stretches {
				spans = append(spans, Span[netip.Addr]{keyOf[netip.Addr](part.first), keyOf[netip.Addr](part.last)})
			}
		}
	}
	return spans
}

// Contains says whether one of the spans has the key.
func Contains[K Key](spans []Span[K], k K) bool { return within(spans, pointOf(k)) }

// notHosts are the addresses of a prefix that can be no host's.
func notHosts(p netip.Prefix) []netip.Addr {
	if p.Addr().BitLen()-p.Bits() < 2 {
		return nil // RFC 3021 and RFC 6164: both ends of a /31 and a /127 are hosts
	}
	first := p.Masked().Addr()
	if !p.Addr().Is4() {
		return []netip.Addr{first} // all routers' anycast address, RFC 4291
	}
	last := first.As4()
	for i := range last {
		last[i] |= 0xff >> min(8, max(0, p.Bits()-8*i))
	}
	return []netip.Addr{first, netip.AddrFrom4(last)}
}

// Fixed checks an address that a user asked for and returns it with its
// subnet's prefix length. Any address of the network's subnets will do, in a
// range or not, unless it is excluded or not a host's.
func Fixed(n nic.Network, addr netip.Addr) (netip.Prefix, error) {
	s, ok := n.SubnetOf(addr)
	if !ok {
		return netip.Prefix{}, fmt.Errorf("%s is in none of the subnets of network %s (%s)", addr, n.Name, subnets(n))
	}
	if err := assignable(s, addr); err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(addr, s.Prefix.Bits()), nil
}

// assignable says why addr, which lies in the subnet, can be no container's.
func assignable(s nic.Subnet, addr netip.Addr) error {
	if addr == s.Gateway {
		return fmt.Errorf("%s is the gateway of subnet %s", addr, s.Prefix)
	}
	if slices.ContainsFunc(s.Exclude, func(x nic.Range) bool { return x.Contains(addr) }) {
		return fmt.Errorf("%s is excluded from subnet %s by the config", addr, s.Prefix)
	}
	switch slices.Index(notHosts(s.Prefix), addr) {
	case 0:
		return fmt.Errorf("%s is the address of subnet %s itself", addr, s.Prefix)
	case 1:
		return fmt.Errorf("%s is the broadcast address of subnet %s", addr, s.Prefix)
	}
	return nil
}

// Ranges lists the ranges of one IP version as the config has them.
func Ranges(n nic.Network, ipv6 bool) string {
	var ranges []string
	for _, s := range n.Subnets {
		if s.Prefix.Addr().Is6() != ipv6 {
			continue
		}
		for _, r := range s.Ranges {
			ranges = append(ranges, r.String())
		}
	}
	return strings.Join(ranges, ", ")
}

func subnets(n nic.Network) string {
	if len(n.Subnets) == 0 {
		return "none"
	}
	texts := make([]string, len(n.Subnets))
	for i, s := range n.Subnets {
		texts[i] = s.Prefix.String()
	}
	return strings.Join(texts, ", ")
}
