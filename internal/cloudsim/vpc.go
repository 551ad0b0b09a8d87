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

type vpc struct {
	VPC
	n int
	// standard is the default security group.
	standard string
}

func (v *vpc) seen() VPC {
	seen := v.VPC
	seen.Tags = v.Tags.clone()
	return seen
}

// AddVPC makes a VPC, with a default security group as EC2 does.
func (c *Cloud) AddVPC(v VPC) (VPC, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !v.CIDR.IsValid() || !v.CIDR.Addr().Is4() {
		return VPC{}, refuse("missing", "CidrBlock")
	}
	if v.ID == "" {
		v.ID = c.id("vpc")
	}
	if c.vpcs[v.ID] != nil {
		return VPC{}, refuse("value", "The VPC "+v.ID+" exists already.")
	}
	v.Tags = v.Tags.clone()
	made := &vpc{VPC: v, n: c.next(), standard: c.id("sg")}
	c.vpcs[v.ID] = made
	c.groups[made.standard] = &group{n: c.next(), SecurityGroup: SecurityGroup{
		ID: made.standard, Name: "default", Description: "default VPC security group", VPC: v.ID, Owner: c.opts.Account,
	}}
	return v, nil
}

var vpcFilters = filterTable[VPC]{
	"vpc-id":     func(v *VPC) []string { return one(v.ID) },
	"cidr":       func(v *VPC) []string { return one(v.CIDR.String()) },
	"state":      func(*VPC) []string { return one("available") },
	"is-default": func(*VPC) []string { return one("false") },
}

// DescribeVPCs lists VPCs. Filters: vpc-id, cidr, state, is-default, tag:<key>, tag-key.
func (c *Cloud) DescribeVPCs(ctx context.Context, call Call, d Describe) (Page[VPC], error) {
	return describe(ctx, c, call, d, listing[VPC]{
		api: "DescribeVpcs", filters: vpcFilters, tags: func(v *VPC) Tags { return v.Tags },
		all:     every(c.vpcs, func(v *vpc) numbered[VPC] { return numbered[VPC]{v.n, v.ID, new(v.seen())} }),
		missing: func(id string) error { return refuse("vpc.missing", id) },
	})
}
