package cloudsim

import (
	"context"
	"net/netip"
	"slices"
)

// An AssignIPv6 gives an interface IPv6 addresses or prefixes.
type AssignIPv6 struct {
	Interface   string // required
	Addrs       []netip.Addr
	Count       int
	Prefixes    []netip.Prefix
	PrefixCount int
	// Token makes the call idempotent; empty is not.
	Token string
}

// An UnassignIPv6 takes IPv6 addresses and prefixes from an interface.
type UnassignIPv6 struct {
	Interface string // required
	Addrs     []netip.Addr
	Prefixes  []netip.Prefix
}

// A ChangedIPv6 is only what is newly assigned or unassigned.
type ChangedIPv6 struct {
	Interface string
	Addrs     []netip.Addr
	Prefixes  []netip.Prefix
}

// AssignIPv6 is AssignIpv6Addresses: all or nothing. What another interface has
// is not moved.
func (c *Cloud) AssignIPv6(ctx context.Context, call Call, r AssignIPv6) (ChangedIPv6, error) {
	changed := ChangedIPv6{Interface: r.Interface}
	err := c.change(ctx, call, "AssignIpv6Addresses", append([]string{r.Interface}, texts(r.Addrs)...), func(t *turn, e *eni) error {
		if ways(len(r.Addrs) > 0, r.Count > 0, len(r.Prefixes) > 0, r.PrefixCount > 0) != 1 {
			return refuse("combination", "Addresses are asked for in one way: by name, by number, by prefix or by number of prefixes.")
		}
		given, blocks6, again, err := t.given(r.Token, r)
		if again || err != nil {
			changed.Addrs, changed.Prefixes = given, blocks6
			return err
		}
		if err := t.steady(e); err != nil {
			return err
		}
		s := e.subnet
		had := func(a netip.Addr) bool { return s.space.owners6[a] == e && !c.opts.Asynchronous }
		named := slices.DeleteFunc(slices.Clone(r.Addrs), had)
		blocks := slices.DeleteFunc(slices.Clone(r.Prefixes), func(p netip.Prefix) bool { return s.space.blocks6[p] == e && !c.opts.Asynchronous })
		addrs, prefixes, err := c.find6(s, named, r.Count, blocks, r.PrefixCount)
		if err != nil {
			return err
		}
		if err := c.room(e, 0, len(addrs)+len(prefixes)); err != nil {
			return err
		}
		if err := t.effect(); err != nil {
			return err
		}
		before := e.now
		e.now.IPv6 = append(slices.Clone(e.now.IPv6), addrs...)
		e.now.IPv6Prefixes = append(slices.Clone(e.now.IPv6Prefixes), prefixes...)
		gifts{ipv6: addrs, blocks6: prefixes}.take(s.space, e)
		c.commitPartly(e, before, t.now, t.hidden())
		t.remember(r.Token, r, gives(addrs, prefixes)...)
		changed.Addrs, changed.Prefixes = addrs, prefixes
		return nil
	})
	if err != nil {
		return ChangedIPv6{}, err
	}
	return changed, nil
}

// UnassignIPv6 is UnassignIpv6Addresses: all or nothing.
func (c *Cloud) UnassignIPv6(ctx context.Context, call Call, r UnassignIPv6) (ChangedIPv6, error) {
	err := c.change(ctx, call, "UnassignIpv6Addresses", append([]string{r.Interface}, texts(r.Addrs)...), func(t *turn, e *eni) error {
		if len(r.Addrs)+len(r.Prefixes) == 0 {
			return refuse("missing", "Ipv6Addresses")
		}
		if err := t.steady(e); err != nil {
			return err
		}
		s := e.subnet.space
		for _, a := range r.Addrs {
			if s.owners6[a] != e {
				return refuse("ip.notassigned", e.now.ID)
			}
		}
		for _, p := range r.Prefixes {
			if s.blocks6[p] != e {
				return refuse("ip.notassigned", e.now.ID)
			}
		}
		if err := t.effect(); err != nil {
			return err
		}
		for _, a := range r.Addrs {
			delete(s.owners6, a)
		}
		for _, p := range r.Prefixes {
			delete(s.blocks6, p)
		}
		e.now.IPv6 = slices.DeleteFunc(slices.Clone(e.now.IPv6), func(a netip.Addr) bool { return slices.Contains(r.Addrs, a) })
		e.now.IPv6Prefixes = slices.DeleteFunc(slices.Clone(e.now.IPv6Prefixes), func(p netip.Prefix) bool { return slices.Contains(r.Prefixes, p) })
		c.commit(e, t.now, t.hidden())
		return nil
	})
	if err != nil {
		return ChangedIPv6{}, err
	}
	return ChangedIPv6{Interface: r.Interface, Addrs: slices.Clone(r.Addrs), Prefixes: slices.Clone(r.Prefixes)}, nil
}
