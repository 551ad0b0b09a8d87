package fake

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// OpPlace is the op of Place, which is called only where there are subnets.
const OpPlace = "place"

// A Subnet is one of a cloud's, which gives its NICs their addresses.
type Subnet struct {
	ID, Zone string
	// Prefix is IPv4, Prefix6 what NICs with IPv6 get one of besides; optional.
	Prefix, Prefix6 netip.Prefix
	Gateway         netip.Addr
	// NICs is for how many it has addresses, each with one; default is any number.
	NICs int
}

func (p *Provider) subnet(id string) (Subnet, bool) {
	i := slices.IndexFunc(p.opts.Subnets, func(s Subnet) bool { return s.ID == id })
	if i < 0 {
		return Subnet{}, false
	}
	return p.opts.Subnets[i], true
}

// Place implements provider.Placer. A fake without subnets leaves nothing open.
func (p *Provider) Place(ctx context.Context, spec nic.Spec, node nic.Node) (nic.Spec, error) {
	if len(p.opts.Subnets) == 0 {
		return spec, nil
	}
	at := cmp.Or(node.Instances[p.opts.Name], nic.InstanceID(node.Name))
	err := p.call(ctx, Call{Op: OpPlace, ID: spec.NIC, Instance: at}, func(now time.Time) (bool, error) {
		chosen, err := p.choose(spec.Cloud, p.opts.Zones[at], now)
		spec.Cloud.Subnet, spec.Cloud.Zone, spec.Cloud.Subnets, spec.Cloud.Pick = chosen.ID, chosen.Zone, nil, ""
		return false, err
	})
	if err != nil {
		return nic.Spec{}, err
	}
	return spec, nil
}

func (p *Provider) choose(c nic.CloudSpec, zone string, now time.Time) (chosen Subnet, err error) {
	if c.Subnet != "" {
		s, ok := p.subnet(c.Subnet)
		if !ok || s.Zone != zone {
			return s, invalid("the NIC is in zone %q, and the instance is in zone %q", s.Zone, zone)
		}
		return s, nil
	}
	most, any := 0, false
	for _, id := range c.Subnets {
		s, ok := p.subnet(id)
		if !ok {
			return s, invalid("there is no subnet %q", id)
		}
		if s.Zone != zone {
			continue
		}
		any = true
		if free := p.free(s, now) - c.Secondary; free > most {
			chosen, most = s, free
		}
		if c.Pick == nic.PickOrdered && most > 0 {
			break
		}
	}
	switch {
	case !any:
		return chosen, invalid("none of the subnets is in zone %q", zone)
	case most == 0:
		return chosen, exhausted(provider.ScopeSubnet, "no free address in any subnet of zone %q", zone)
	}
	return chosen, nil
}

// free is how many further addresses the subnet has.
func (p *Provider) free(s Subnet, now time.Time) int {
	free := cmp.Or(s.NICs, 1<<16)
	for id := range p.nics {
		if r := p.find(id, now); r != nil && r.spec.Cloud.Subnet == s.ID {
			for _, a := range r.addrs {
				if a.Is4() {
					free--
				}
			}
		}
	}
	return free
}

// anySubnet gives addresses for seats where there are no subnets.
func anySubnet() netip.Prefix { return netip.MustParsePrefix("100.64.0.0/16") }

// address gives a NIC that is being made its addresses.
func (p *Provider) address(spec nic.Spec, now time.Time) ([]netip.Addr, error) {
	if 1+spec.Cloud.Secondary > p.opts.AddrsPerNIC {
		return nil, invalid("asks for %d addresses; a NIC has %d at most", 1+spec.Cloud.Secondary, p.opts.AddrsPerNIC)
	}
	if len(p.opts.Subnets) == 0 {
		addrs := slices.Clone(spec.Addrs)
		for len(addrs) < 1+spec.Cloud.Secondary && spec.Cloud.Secondary > 0 {
			addrs = append(addrs, p.next(anySubnet(), now, addrs...))
		}
		return addrs, nil
	}
	s, ok := p.subnet(spec.Cloud.Subnet)
	if !ok {
		return nil, invalid("there is no subnet %q", spec.Cloud.Subnet)
	}
	if p.free(s, now) <= spec.Cloud.Secondary {
		return nil, exhausted(provider.ScopeSubnet, "no free address in subnet %s", s.ID)
	}
	addrs := slices.Clone(spec.Addrs)
	for _, a := range addrs {
		if !s.Prefix.Contains(a) && !s.Prefix6.Contains(a) {
			return nil, invalid("%s is not in subnet %s", a, s.ID)
		}
		if p.holds(a, now) {
			return nil, invalid("%s is taken", a)
		}
	}
	if !slices.ContainsFunc(addrs, netip.Addr.Is4) {
		addrs = append(addrs, p.next(s.Prefix, now))
	}
	for range spec.Cloud.Secondary {
		addrs = append(addrs, p.next(s.Prefix, now, addrs...))
	}
	if spec.Cloud.IPv6 && s.Prefix6.IsValid() && !slices.ContainsFunc(addrs, netip.Addr.Is6) {
		addrs = append(addrs, p.next(s.Prefix6, now))
	}
	return addrs, nil
}

// next is the first free address but for those; a cloud keeps the first four for
// itself.
func (p *Provider) next(prefix netip.Prefix, now time.Time, but ...netip.Addr) netip.Addr {
	a := prefix.Addr()
	for range 4 {
		a = a.Next()
	}
	for p.holds(a, now) || slices.Contains(but, a) {
		a = a.Next()
	}
	return a
}

func (p *Provider) holds(a netip.Addr, now time.Time) bool {
	for id := range p.nics {
		if r := p.find(id, now); r != nil && slices.Contains(r.addrs, a) {
			return true
		}
	}
	return false
}

// wrongZone says why the NIC cannot be plugged in there; nil if it can.
func (p *Provider) wrongZone(r *record, instance nic.InstanceID) error {
	if s, ok := p.subnet(r.spec.Cloud.Subnet); ok && s.Zone != p.opts.Zones[instance] {
		return invalid("the NIC is in zone %q, and %s is in zone %q", s.Zone, instance, p.opts.Zones[instance])
	}
	return nil
}

// subnetsOf is what Seen says of the subnets of a NIC.
func subnetsOf(o Options, id string) []nic.Subnet {
	i := slices.IndexFunc(o.Subnets, func(s Subnet) bool { return s.ID == id })
	if i < 0 {
		return nil
	}
	s := o.Subnets[i]
	all := []nic.Subnet{{Prefix: s.Prefix, Gateway: s.Gateway}}
	if s.Prefix6.IsValid() {
		all = append(all, nic.Subnet{Prefix: s.Prefix6})
	}
	return all
}

var _ provider.Placer = (*Provider)(nil)
