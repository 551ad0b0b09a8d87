package cloudsim

import (
	"context"
	"net/netip"
)

// A VPC is a network of its own. Its ID is drawn where it is empty.
type VPC struct {
	ID string
	// CIDR is required; CIDR6 is empty where there is no IPv6.
	CIDR, CIDR6 netip.Prefix
	Tags        Tags
}

// A Zone is a part of the region.
type Zone struct {
	// Name is such as eu-central-1a, ID such as euc1-az1.
	Name, ID, Region, State string
}

// A SecurityGroup is a set of rules, which nobody here enforces. Its ID is
// drawn where it is empty.
type SecurityGroup struct {
	ID, Name, Description string
	VPC                   string // required
	Owner                 string
	Tags                  Tags
}

// AddVPC makes a VPC, with a default security group as EC2 does.
func (c *Cloud) AddVPC(v VPC) (VPC, error) { return VPC{}, errNotBuilt }

// AddGroup makes a security group.
func (c *Cloud) AddGroup(g SecurityGroup) (SecurityGroup, error) {
	return SecurityGroup{}, errNotBuilt
}

// DescribeVPCs lists VPCs. Filters: vpc-id, cidr, state, owner-id, is-default, tag:<key>, tag-key.
func (c *Cloud) DescribeVPCs(ctx context.Context, call Call, d Describe) (Page[VPC], error) {
	return Page[VPC]{}, errNotBuilt
}

// DescribeSecurityGroups lists groups. Filters: group-id, group-name, vpc-id, description, owner-id, tag:<key>, tag-key.
func (c *Cloud) DescribeSecurityGroups(ctx context.Context, call Call, d Describe) (Page[SecurityGroup], error) {
	return Page[SecurityGroup]{}, errNotBuilt
}

// DescribeZones lists zones; IDs are their names. Filters: zone-name, zone-id, state, region-name.
func (c *Cloud) DescribeZones(ctx context.Context, call Call, d Describe) (Page[Zone], error) {
	return Page[Zone]{}, errNotBuilt
}
