package cloudsim

import (
	"context"
	"net/netip"
	"slices"
)

// An UnassignIPv4 takes addresses and prefixes from an interface.
type UnassignIPv4 struct {
	Interface string // required
	Addrs     []netip.Addr
	Prefixes  []netip.Prefix
}

// UnassignIPv4 is UnassignPrivateIpAddresses: all or nothing. The primary
// address cannot go, and public ones on the others are disassociated.
func (c *Cloud) UnassignIPv4(ctx context.Context, call Call, r UnassignIPv4) error {
	return c.change(ctx, call, "UnassignPrivateIpAddresses", append([]string{r.Interface}, texts(r.Addrs)...), func(t *turn, e *eni) error {
		if len(r.Addrs)+len(r.Prefixes) == 0 {
			return refuse("missing", "PrivateIpAddresses")
		}
		if err := t.steady(e); err != nil {
			return err
		}
		for _, a := range r.Addrs {
			if !e.has(a) {
				return refuse("ip.notassigned", e.now.ID)
			}
			if e.now.Primary() == a {
				return refuse("ip.primary.own")
			}
		}
		for _, p := range r.Prefixes {
			if !slices.Contains(e.now.IPv4Prefixes, p) {
				return refuse("ip.notassigned", e.now.ID)
			}
		}
		if err := t.effect(); err != nil {
			return err
		}
		var kept []PrivateIP
		for _, ip := range e.now.IPv4 {
			if !slices.Contains(r.Addrs, ip.Addr) {
				kept = append(kept, ip)
				continue
			}
			if ip.Association != nil {
				c.dissociate(c.eips[ip.Association.Allocation])
			}
			e.subnet.space.give(e.subnet.space.place(ip.Addr))
		}
		e.now.IPv4 = kept
		e.now.IPv4Prefixes = slices.DeleteFunc(slices.Clone(e.now.IPv4Prefixes), func(p netip.Prefix) bool { return slices.Contains(r.Prefixes, p) })
		for _, p := range r.Prefixes {
			e.subnet.space.giveBlock(p)
		}
		c.commit(e, t.now, t.hidden())
		return nil
	})
}
