package cloudsim

import (
	"context"
	"net/netip"
)

// A Subnet is a part of a VPC in one zone. Its ID is drawn where it is empty.
type Subnet struct {
	ID, VPC string // VPC is required
	// Zone is the zone's name; required. ZoneID follows from it.
	Zone, ZoneID string
	// CIDR is required; CIDR6 is empty where there is no IPv6.
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
func (c *Cloud) AddSubnet(s Subnet) (Subnet, error) { return Subnet{}, errNotBuilt }

// DescribeSubnets lists subnets. Filters: subnet-id, vpc-id, availability-zone,
// availability-zone-id, cidr-block, available-ip-address-count, state, owner-id,
// map-public-ip-on-launch, assign-ipv6-address-on-creation, tag:<key>, tag-key.
func (c *Cloud) DescribeSubnets(ctx context.Context, call Call, d Describe) (Page[Subnet], error) {
	return Page[Subnet]{}, errNotBuilt
}
