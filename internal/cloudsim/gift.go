package cloudsim

import (
	"cmp"
	"net/netip"
	"slices"
)

// gifts are addresses that an interface is given: the primary one first.
type gifts struct {
	ipv4, ipv6      []netip.Addr
	blocks, blocks6 []netip.Prefix
}

// take makes them an interface's.
func (g gifts) take(s *space, e *eni) {
	for _, a := range g.ipv4 {
		s.take(s.place(a), e)
	}
	for _, p := range g.blocks {
		s.takeBlock(p, e)
	}
	for _, a := range g.ipv6 {
		s.owners6[a] = e
	}
	for _, p := range g.blocks6 {
		s.blocks6[p] = e
	}
}

// ways counts which of exclusive ways to ask were used.
func ways(used ...bool) int {
	n := 0
	for _, u := range used {
		if u {
			n++
		}
	}
	return n
}

// gifts finds the addresses that a new interface asks for, and takes none.
func (c *Cloud) gifts(s *subnet, r CreateInterface) (gifts, error) {
	primary, others, err := r.primary()
	if err != nil {
		return gifts{}, err
	}
	count6 := 0
	if r.IPv6Count != nil {
		count6 = *r.IPv6Count
	} else if s.AssignIPv6 && ways(len(r.IPv6) > 0, len(r.IPv6Prefixes) > 0, r.IPv6PrefixCount > 0) == 0 {
		count6 = 1
	}
	if ways(len(others) > 0, r.IPv4Count > 0, len(r.IPv4Prefixes) > 0, r.IPv4PrefixCount > 0) > 1 ||
		ways(len(r.IPv6) > 0, count6 > 0, len(r.IPv6Prefixes) > 0, r.IPv6PrefixCount > 0) > 1 {
		return gifts{}, refuse("combination", "Addresses are asked for in one way: by name, by number, by prefix or by number of prefixes.")
	}
	if r.Kind == "efa-only" {
		if primary.IsValid() || len(others) > 0 || r.IPv4Count+len(r.IPv4Prefixes)+r.IPv4PrefixCount+len(r.IPv6)+count6+len(r.IPv6Prefixes)+r.IPv6PrefixCount > 0 {
			return gifts{}, refuse("combination", "An interface of type efa-only has no IP addresses.")
		}
		return gifts{}, nil
	}
	var g gifts
	if g.ipv6, g.blocks6, err = c.find6(s, r.IPv6, count6, r.IPv6Prefixes, r.IPv6PrefixCount); err != nil {
		return g, err
	}
	g.ipv4 = append(only(primary), others...)
	if err = s.givable(g.ipv4); err != nil {
		return g, err
	}
	if g.blocks, err = s.blocks(r.IPv4Prefixes, r.IPv4PrefixCount, g.ipv4); err != nil {
		return g, err
	}
	drawn := r.IPv4Count
	if !primary.IsValid() {
		drawn++
	}
	more := s.space.find(c.rng, drawn, s.avoid(g))
	if more == nil && drawn > 0 {
		return g, refuse("subnet.full")
	}
	if !primary.IsValid() {
		g.ipv4 = append(more, g.ipv4...)
	} else {
		g.ipv4 = append(g.ipv4, more...)
	}
	switch {
	case len(g.ipv4)+len(g.blocks) > c.opts.Quotas.UnattachedIPv4:
		return g, refuse("ip.unattached")
	case len(g.ipv6)+len(g.blocks6) > c.opts.Quotas.UnattachedIPv6:
		return g, refuse("ip6.unattached")
	}
	return g, nil
}

func only(a netip.Addr) []netip.Addr {
	if !a.IsValid() {
		return nil
	}
	return []netip.Addr{a}
}

// primary is the address that shall be the primary one, and the others.
func (r CreateInterface) primary() (primary netip.Addr, others []netip.Addr, err error) {
	primary = r.Primary
	for _, w := range r.IPv4 {
		switch {
		case !w.Primary:
			others = append(others, w.Addr)
		case primary.IsValid() && primary != w.Addr:
			return primary, nil, refuse("combination", "Only one primary private IP address can be specified.")
		default:
			primary = w.Addr
		}
	}
	return primary, others, nil
}

// givable says why addresses cannot be given.
func (s *subnet) givable(addrs []netip.Addr) error {
	met := map[netip.Addr]bool{}
	for _, a := range addrs {
		if err := s.space.check(a); err != nil {
			return err
		}
		switch {
		case met[a]:
			return refuse("ip.repeated")
		case s.space.owner(a) != nil:
			return refuse("ip.inuse")
		}
		met[a] = true
	}
	return nil
}

// blocks checks or finds /28s, which have none of the addresses not.
func (s *subnet) blocks(named []netip.Prefix, count int, not []netip.Addr) ([]netip.Prefix, error) {
	met := map[netip.Prefix]bool{}
	for _, p := range named {
		if err := s.space.checkBlock(p); err != nil {
			return nil, err
		}
		if met[p] || slices.ContainsFunc(not, p.Contains) {
			return nil, refuse("ip.inuse")
		}
		met[p] = true
	}
	if count == 0 {
		return slices.Clone(named), nil
	}
	all := s.space.findBlocks(count, not)
	if all == nil {
		return nil, refuse("subnet.blocks")
	}
	return all, nil
}

// avoid are the addresses that gifts have, though nobody took them yet.
func (s *subnet) avoid(g gifts) map[netip.Addr]bool {
	not := map[netip.Addr]bool{}
	for _, a := range g.ipv4 {
		not[a] = true
	}
	for _, p := range g.blocks {
		for n := range uint32(block) {
			not[s.space.addr(s.space.place(p.Addr())+n)] = true
		}
	}
	return not
}

// find6 checks or finds IPv6 addresses and prefixes.
func (c *Cloud) find6(s *subnet, named []netip.Addr, count int, blocks []netip.Prefix, blockCount int) ([]netip.Addr, []netip.Prefix, error) {
	if len(named)+count+len(blocks)+blockCount > 0 && !s.CIDR6.IsValid() {
		return nil, nil, refuse("subnet.noipv6", s.ID)
	}
	for n, a := range named {
		if err := cmp.Or(s.space.check6(a), again(slices.Contains(named[:n], a))); err != nil {
			return nil, nil, err
		}
	}
	for n, p := range blocks {
		if err := cmp.Or(s.space.checkBlock6(p), again(slices.Contains(blocks[:n], p))); err != nil {
			return nil, nil, err
		}
	}
	addrs, prefixes := slices.Clone(named), slices.Clone(blocks)
	addrs = append(addrs, s.space.find6(c.rng, count)...)
	if blockCount > 0 {
		found := s.space.findBlocks6(c.rng, blockCount)
		if found == nil {
			return nil, nil, refuse("subnet.blocks")
		}
		prefixes = append(prefixes, found...)
	}
	return addrs, prefixes, nil
}

// again is what to say of an address that is asked for twice.
func again(twice bool) error {
	if twice {
		return refuse("ip.repeated")
	}
	return nil
}
