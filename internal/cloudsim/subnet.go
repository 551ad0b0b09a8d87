package cloudsim

import (
	"context"
	"net/netip"
	"strconv"
)

// A Subnet is a part of a VPC in one zone. Its ID is drawn where it is empty.
type Subnet struct {
	ID, VPC string // VPC is required
	// Zone is the zone's name; required. ZoneID follows from it.
	Zone, ZoneID string
	// CIDR is required, /16 to /28; CIDR6 is empty where there is no IPv6, and
	// otherwise a /64.
	CIDR, CIDR6 netip.Prefix
	// AssignIPv6: interfaces get an IPv6 address where they do not say how many.
	AssignIPv6 bool
	// MapPublicIP is only said.
	MapPublicIP bool
	Tags        Tags
	Owner       string

	// Free is the number of IPv4 addresses that can still be given.
	Free int
}

// AddSubnet makes a subnet, and its zone where that is new.
func (c *Cloud) AddSubnet(s Subnet) (Subnet, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := c.vpcs[s.VPC]
	switch {
	case in == nil:
		return Subnet{}, refuse("vpc.missing", s.VPC)
	case s.Zone == "":
		return Subnet{}, refuse("missing", "AvailabilityZone")
	case !s.CIDR.IsValid() || !s.CIDR.Addr().Is4() || s.CIDR.Bits() < 16 || s.CIDR.Bits() > 28:
		return Subnet{}, refuse("value", "The CIDR block of a subnet is a /16 to /28.")
	case !in.CIDR.Contains(s.CIDR.Addr()) || in.CIDR.Bits() > s.CIDR.Bits():
		return Subnet{}, refuse("value", "The CIDR block "+s.CIDR.String()+" is not in the VPC's "+in.CIDR.String()+".")
	case s.CIDR6.IsValid() && s.CIDR6.Bits() != 64:
		return Subnet{}, refuse("value", "The IPv6 CIDR block of a subnet is a /64.")
	}
	for _, other := range c.subnets {
		if other.VPC == s.VPC && other.CIDR.Overlaps(s.CIDR) {
			return Subnet{}, refuse("value", "The CIDR block "+s.CIDR.String()+" overlaps that of "+other.ID+".")
		}
	}
	if s.ID == "" {
		s.ID = c.id("subnet")
	}
	if c.subnets[s.ID] != nil {
		return Subnet{}, refuse("value", "The subnet "+s.ID+" exists already.")
	}
	s.CIDR, s.CIDR6 = s.CIDR.Masked(), s.CIDR6.Masked()
	s.ZoneID, s.Owner, s.Tags = c.zone(s.Zone).ID, c.opts.Account, s.Tags.clone()
	made := &subnet{Subnet: s, n: c.next(), space: newSpace(s.CIDR, s.CIDR6, c.opts.Reserved)}
	c.subnets[s.ID] = made
	return made.seen(), nil
}

type subnet struct {
	Subnet
	n     int
	space *space
}

func (s *subnet) seen() Subnet {
	v := s.Subnet
	v.Free, v.Tags = s.space.free, s.Tags.clone()
	return v
}

var subnetFilters = filterTable[Subnet]{
	"subnet-id":                       func(s *Subnet) []string { return one(s.ID) },
	"vpc-id":                          func(s *Subnet) []string { return one(s.VPC) },
	"availability-zone":               func(s *Subnet) []string { return one(s.Zone) },
	"availabilityZone":                func(s *Subnet) []string { return one(s.Zone) },
	"availability-zone-id":            func(s *Subnet) []string { return one(s.ZoneID) },
	"cidr-block":                      func(s *Subnet) []string { return one(s.CIDR.String()) },
	"available-ip-address-count":      func(s *Subnet) []string { return one(strconv.Itoa(s.Free)) },
	"state":                           func(*Subnet) []string { return one("available") },
	"owner-id":                        func(s *Subnet) []string { return one(s.Owner) },
	"map-public-ip-on-launch":         func(s *Subnet) []string { return one(strconv.FormatBool(s.MapPublicIP)) },
	"assign-ipv6-address-on-creation": func(s *Subnet) []string { return one(strconv.FormatBool(s.AssignIPv6)) },
}

// DescribeSubnets lists subnets. Filters: subnet-id, vpc-id, availability-zone,
// availability-zone-id, cidr-block, available-ip-address-count, state, owner-id,
// map-public-ip-on-launch, assign-ipv6-address-on-creation, tag:<key>, tag-key.
func (c *Cloud) DescribeSubnets(ctx context.Context, call Call, d Describe) (Page[Subnet], error) {
	return describe(ctx, c, call, d, listing[Subnet]{
		api: "DescribeSubnets", filters: subnetFilters, tags: func(s *Subnet) Tags { return s.Tags },
		all:     every(c.subnets, func(s *subnet) numbered[Subnet] { return numbered[Subnet]{s.n, s.ID, new(s.seen())} }),
		missing: func(id string) error { return refuse("subnet.missing", id) },
	})
}
