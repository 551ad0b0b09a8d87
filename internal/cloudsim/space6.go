package cloudsim

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
)

// block6 is the /80 that an address is in.
func block6(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, 80).Masked() }

// reserved6 says whether an address is one of the first four of its /64, or the
// last, which EC2 keeps for itself as in IPv4.
func reserved6(a netip.Addr) bool {
	raw := a.As16()
	low := binary.BigEndian.Uint64(raw[8:])
	return low < 4 || low == math.MaxUint64
}

// check6 says whether an IPv6 address can be given.
func (s *space) check6(a netip.Addr) error {
	switch {
	case !a.Is6() || !s.cidr6.Contains(a):
		return refuse("ip6.outside")
	case reserved6(a):
		return refuse("ip.reserved")
	case s.owners6[a] != nil || s.blocks6[block6(a)] != nil:
		return refuse("ip.inuse")
	}
	return nil
}

// checkBlock6 says whether a /80 can be given.
func (s *space) checkBlock6(p netip.Prefix) error {
	switch {
	case !p.Addr().Is6() || p.Bits() != 80 || p.Masked() != p:
		return refuse("prefix.size", p.String())
	case !s.cidr6.Contains(p.Addr()):
		return refuse("ip6.outside")
	case s.blocks6[p] != nil:
		return refuse("ip.inuse")
	}
	for a := range s.owners6 {
		if p.Contains(a) {
			return refuse("ip.inuse")
		}
	}
	return nil
}

// find6 draws n free IPv6 addresses.
func (s *space) find6(rng *rand.Rand, n int) []netip.Addr {
	var all []netip.Addr
	for len(all) < n {
		raw := s.cidr6.Addr().As16()
		binary.BigEndian.PutUint64(raw[8:], rng.Uint64())
		if a := netip.AddrFrom16(raw); s.check6(a) == nil {
			all = append(all, a)
		}
	}
	return all
}

// findBlocks6 draws n free /80s, of which there are 65,536.
func (s *space) findBlocks6(rng *rand.Rand, n int) []netip.Prefix {
	var all []netip.Prefix
	met := map[netip.Prefix]bool{}
	for tries := 0; len(all) < n && tries < 1<<17; tries++ {
		raw := s.cidr6.Addr().As16()
		binary.BigEndian.PutUint16(raw[8:], uint16(rng.Uint32()))
		p := netip.PrefixFrom(netip.AddrFrom16(raw), 80)
		if !met[p] && s.checkBlock6(p) == nil {
			all = append(all, p)
		}
		met[p] = true
	}
	if len(all) < n {
		return nil
	}
	return all
}
