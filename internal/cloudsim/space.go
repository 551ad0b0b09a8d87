package cloudsim

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
)

// A space is the addresses of one subnet, and who has them.
type space struct {
	cidr, cidr6 netip.Prefix
	size        uint32
	free        int
	// first and last are how many are reserved at each end.
	first, last uint32
	// owners are by the place of the address in the subnet; nil are reserved.
	owners map[uint32]*eni
	// inBlock counts those of each /28.
	inBlock map[uint32]int
	owners6 map[netip.Addr]*eni
	blocks6 map[netip.Prefix]*eni
}

// block is how many addresses an IPv4 prefix has.
const block = 16

// newSpace has the first and the last addresses reserved, as many as it says.
func newSpace(cidr, cidr6 netip.Prefix, reserved Reserved) *space {
	s := &space{
		cidr: cidr, cidr6: cidr6, size: 1 << (32 - cidr.Bits()), first: uint32(reserved.First), last: uint32(reserved.Last), //nolint:gosec // few
		owners: map[uint32]*eni{}, inBlock: map[uint32]int{},
		owners6: map[netip.Addr]*eni{}, blocks6: map[netip.Prefix]*eni{},
	}
	s.free = int(s.size)
	for n := range s.first {
		s.take(n, nil)
	}
	for n := range s.last {
		s.take(s.size-1-n, nil)
	}
	return s
}

// addr and place are each other's inverse.
func (s *space) addr(n uint32) netip.Addr {
	base := s.cidr.Addr().As4()
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(base[:])+n)
	return netip.AddrFrom4(a)
}

func (s *space) place(a netip.Addr) uint32 {
	base, b := s.cidr.Addr().As4(), a.As4()
	return binary.BigEndian.Uint32(b[:]) - binary.BigEndian.Uint32(base[:])
}

func (s *space) take(n uint32, e *eni) {
	if _, taken := s.owners[n]; !taken {
		s.free--
		s.inBlock[n/block]++
	}
	s.owners[n] = e
}

func (s *space) give(n uint32) {
	if _, taken := s.owners[n]; taken {
		delete(s.owners, n)
		s.free++
		s.inBlock[n/block]--
	}
}

// check says whether an address can be somebody's at all.
func (s *space) check(a netip.Addr) error {
	if !a.Is4() || !s.cidr.Contains(a) {
		return refuse("ip.outside")
	}
	if n := s.place(a); n < s.first || n >= s.size-s.last {
		return refuse("ip.reserved")
	}
	return nil
}

// owner is who has an address; nil is nobody.
func (s *space) owner(a netip.Addr) *eni { return s.owners[s.place(a)] }

// find draws n free addresses but for those in not; nil where there are not as many.
func (s *space) find(rng *rand.Rand, n int, not map[netip.Addr]bool) []netip.Addr {
	if s.free < n {
		return nil
	}
	all := make([]netip.Addr, 0, n)
	at := rng.Uint32N(s.size)
	for range s.size {
		if len(all) == n {
			break
		}
		if _, taken := s.owners[at]; !taken {
			if a := s.addr(at); !not[a] {
				all = append(all, a)
			}
		}
		at = (at + 1) % s.size
	}
	if len(all) < n {
		return nil
	}
	return all
}

// findBlocks finds n free /28s but for those around not; nil where there are
// not as many.
func (s *space) findBlocks(n int, not []netip.Addr) []netip.Prefix {
	spoilt := map[uint32]bool{}
	for _, a := range not {
		spoilt[s.place(a)/block] = true
	}
	var all []netip.Prefix
	for b := uint32(0); b < s.size/block && len(all) < n; b++ {
		if s.inBlock[b] == 0 && !spoilt[b] {
			all = append(all, netip.PrefixFrom(s.addr(b*block), 28))
		}
	}
	if len(all) < n {
		return nil
	}
	return all
}

// checkBlock says whether a /28 can be given.
func (s *space) checkBlock(p netip.Prefix) error {
	switch {
	case !p.Addr().Is4() || p.Bits() != 28 || p.Masked() != p:
		return refuse("prefix.size", p.String())
	case !s.cidr.Contains(p.Addr()):
		return refuse("ip.outside")
	case s.inBlock[s.place(p.Addr())/block] != 0:
		return refuse("ip.inuse")
	}
	return nil
}

func (s *space) takeBlock(p netip.Prefix, e *eni) {
	for n := range uint32(block) {
		s.take(s.place(p.Addr())+n, e)
	}
}

func (s *space) giveBlock(p netip.Prefix) {
	for n := range uint32(block) {
		s.give(s.place(p.Addr()) + n)
	}
}
