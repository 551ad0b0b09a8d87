package cloudsim

import (
	"context"
	"net/netip"
	"slices"
	"strings"
)

// An AssignIPv4 gives an interface further addresses or prefixes, in one of the
// four ways.
type AssignIPv4 struct {
	Interface   string // required
	Addrs       []netip.Addr
	Count       int
	Prefixes    []netip.Prefix
	PrefixCount int
	// AllowReassignment takes Addrs from interfaces that have them as secondary ones.
	AllowReassignment bool
	// Token makes the call idempotent; empty is not.
	Token string
}

// An AssignedIPv4 is what was asked for and is there now.
type AssignedIPv4 struct {
	Interface string
	Addrs     []netip.Addr
	Prefixes  []netip.Prefix
}

// AssignIPv4 is AssignPrivateIpAddresses: all or nothing.
func (c *Cloud) AssignIPv4(ctx context.Context, call Call, r AssignIPv4) (AssignedIPv4, error) {
	o := op{
		api: "AssignPrivateIpAddresses", ids: append([]string{r.Interface}, texts(r.Addrs)...),
		resources: func(t *turn) []Resource { return t.resourcesOf(append([]string{r.Interface}, t.holders(r)...)...) },
	}
	return serve(ctx, c, call, o, func(t *turn) (AssignedIPv4, error) {
		e, err := t.own(r.Interface)
		if err != nil {
			return AssignedIPv4{}, err
		}
		if ways(len(r.Addrs) > 0, r.Count > 0, len(r.Prefixes) > 0, r.PrefixCount > 0) != 1 {
			return AssignedIPv4{}, refuse("combination", "Addresses are asked for in one way: by name, by number, by prefix or by number of prefixes.")
		}
		addrs, prefixes, before, err := t.given(r.Token, r)
		if before || err != nil {
			return AssignedIPv4{Interface: r.Interface, Addrs: addrs, Prefixes: prefixes}, err
		}
		if err := t.steady(e); err != nil {
			return AssignedIPv4{}, err
		}
		fresh, moved, err := c.wanted(e, r)
		if err != nil {
			return AssignedIPv4{}, err
		}
		blocks, err := e.subnet.blocks(r.Prefixes, r.PrefixCount, nil)
		if err != nil {
			return AssignedIPv4{}, err
		}
		if err := c.room(e, len(fresh)+len(moved)+len(blocks), 0); err != nil {
			return AssignedIPv4{}, err
		}
		if err := t.effect(); err != nil {
			return AssignedIPv4{}, err
		}
		t.assign(e, fresh, moved, blocks)
		given := r.Addrs
		if r.Count > 0 {
			given = fresh
		}
		t.remember(r.Token, r, gives(given, blocks)...)
		return AssignedIPv4{Interface: r.Interface, Addrs: slices.Clone(given), Prefixes: blocks}, nil
	})
}

// wanted are the addresses that are nobody's, and those to be taken from others.
func (c *Cloud) wanted(e *eni, r AssignIPv4) (fresh, moved []netip.Addr, err error) {
	s := e.subnet.space
	if r.Count > 0 {
		if fresh = s.find(c.rng, r.Count, nil); fresh == nil {
			return nil, nil, refuse("subnet.full")
		}
		return fresh, nil, nil
	}
	var stay, primary []string
	for n, a := range r.Addrs {
		if err := s.check(a); err != nil {
			return nil, nil, err
		}
		switch owner := s.owner(a); {
		case c.opts.Asynchronous && slices.Contains(r.Addrs[:n], a):
			return nil, nil, refuse("ip.repeated")
		case c.opts.Asynchronous && owner == e:
			return nil, nil, refuse("ip.nomove", a.String())
		case owner == e || slices.Contains(r.Addrs[:n], a):
		case owner == nil:
			fresh = append(fresh, a)
		case !r.AllowReassignment || !owner.has(a) || owner.now.Managed:
			stay = append(stay, a.String())
		case owner.now.Primary() == a:
			primary = append(primary, a.String())
		default:
			moved = append(moved, a)
		}
	}
	switch {
	case stay != nil:
		return nil, nil, refuse("ip.nomove", strings.Join(stay, ", "))
	case primary != nil:
		return nil, nil, refuse("ip.primary.other", strings.Join(primary, ", "))
	}
	return fresh, moved, nil
}

// has says whether an address is one of the interface's own, and not in a prefix.
func (e *eni) has(a netip.Addr) bool {
	return slices.ContainsFunc(e.now.IPv4, func(ip PrivateIP) bool { return ip.Addr == a })
}

// assign gives an interface addresses, with what is on those that move.
func (t *turn) assign(e *eni, fresh, moved []netip.Addr, blocks []netip.Prefix) {
	c, before := t.c, e.now
	e.now.IPv4 = slices.Clone(e.now.IPv4)
	for _, a := range fresh {
		e.now.IPv4 = append(e.now.IPv4, PrivateIP{Addr: a, DNS: c.dns(a)})
	}
	for _, a := range moved {
		from := e.subnet.space.owner(a)
		n := slices.IndexFunc(from.now.IPv4, func(ip PrivateIP) bool { return ip.Addr == a })
		ip := from.now.IPv4[n]
		from.now.IPv4 = slices.Delete(slices.Clone(from.now.IPv4), n, n+1)
		c.commit(from, t.now, t.hidden())
		e.now.IPv4 = append(e.now.IPv4, ip)
		if ip.Association != nil {
			c.eips[ip.Association.Allocation].eni = e
		}
	}
	e.now.IPv4Prefixes = append(slices.Clone(e.now.IPv4Prefixes), blocks...)
	gifts{ipv4: append(slices.Clone(fresh), moved...), blocks: blocks}.take(e.subnet.space, e)
	c.commitPartly(e, before, t.now, t.hidden())
}

// holders are the interfaces that addresses would be taken from.
func (t *turn) holders(r AssignIPv4) []string {
	e := t.c.enis[r.Interface]
	if e == nil {
		return nil
	}
	var ids []string
	for _, a := range r.Addrs {
		if e.subnet.space.check(a) != nil {
			continue
		}
		if from := e.subnet.space.owner(a); from != nil && from != e {
			ids = append(ids, from.now.ID)
		}
	}
	return ids
}

func texts(addrs []netip.Addr) []string {
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return all
}
