package aws

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// apiDescribeGroups is called by Check alone.
const apiDescribeGroups = "DescribeSecurityGroups"

// usualGroups is how many security groups a NIC may have unless the account's quota
// is raised; EC2 does not say it.
const usualGroups = 5

// dryRun asks for a try without effect.
var dryRun = aws.Bool(true)

// Check implements provider.Checker by calls that EC2 carries out up to the question
// of whether they are permitted, and by looks at what the networks name.
func (p *Provider) Check(ctx context.Context, networks []nic.Network) []provider.Finding {
	c := &checking{p: p, ctx: ctx}
	if !c.reads() {
		return c.found // nobody is known by these credentials, or nobody answers
	}
	for _, n := range networks {
		c.network(n)
	}
	c.ours(slices.ContainsFunc(networks, func(n nic.Network) bool { return n.Cloud.Seats() }))
	return c.found
}

// checking is one Check.
type checking struct {
	p     *Provider
	ctx   context.Context
	found []provider.Finding
}

func (c *checking) add(v provider.Verdict, network, about, format string, args ...any) {
	c.found = append(c.found, provider.Finding{Verdict: v, Network: network, About: about, Message: fmt.Sprintf(format, args...)})
}

// permitted says what a dry run's error means, and whether EC2 answered to somebody
// that it knows.
func (c *checking) permitted(network, api string, err error) bool {
	about := "permission ec2:" + api
	if err == nil {
		c.add(provider.Unknown, network, about, "EC2 did not heed that it was a try")
		return true
	}
	e := c.p.classify(c.ctx, api, err)
	switch saying(e).code {
	case "DryRunOperation":
		c.add(provider.Good, network, about, "")
	case "UnauthorizedOperation":
		c.add(provider.Bad, network, about, "is missing: allow it as examples/aws/iam does; EC2 says: %s", e.Err)
	default:
		answered := saying(e).code != "" && !errors.Is(e, provider.ErrDenied)
		verdict := provider.Unknown
		if errors.Is(e, provider.ErrInvalid) || !answered {
			verdict = provider.Bad
		}
		c.add(verdict, network, about, "%s", e.Err)
		return answered
	}
	return true
}

func (c *checking) reads() bool {
	p, ctx := c.p, c.ctx
	for _, try := range []struct {
		api string
		do  func() error
	}{
		{apiDescribeSubnets, func() error {
			_, err := p.api.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{DryRun: dryRun})
			return err
		}},
		{apiDescribeGroups, func() error {
			_, err := p.api.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{DryRun: dryRun})
			return err
		}},
		{apiDescribeInterfaces, func() error {
			_, err := p.api.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{DryRun: dryRun})
			return err
		}},
		{apiDescribeInstances, func() error {
			_, err := p.api.DescribeInstances(ctx, &ec2.DescribeInstancesInput{DryRun: dryRun})
			return err
		}},
		{apiDescribeTypes, func() error {
			_, err := p.api.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{DryRun: dryRun})
			return err
		}},
	} {
		if !c.permitted("", try.api, try.do()) {
			return false
		}
	}
	return true
}

// network looks at what a network names: subnets and groups of one VPC; and tries
// to make a NIC in each subnet.
func (c *checking) network(n nic.Network) {
	vpcs := map[string]bool{}
	all, err := c.p.nets.Ask(c.ctx, n.Cloud.Subnets...)
	if err != nil {
		c.add(provider.Unknown, n.Name, "subnets", "%s", err)
	}
	for _, id := range n.Cloud.Subnets {
		s, ok := all[id]
		switch {
		case err != nil:
		case !ok:
			c.add(provider.Bad, n.Name, "subnet "+id, "there is none: is it of this region and account?")
		case s.free == 0:
			c.add(provider.Bad, n.Name, "subnet "+id, "in zone %s no address is free", s.zone)
		default:
			c.add(provider.Good, n.Name, "subnet "+id, "in zone %s, %d addresses are free", s.zone, s.free)
		}
		if ok {
			vpcs[s.vpc] = true
			c.create(n, id)
		}
	}
	if len(vpcs) > 1 {
		c.add(provider.Bad, n.Name, "subnets", "are of %d VPCs; want one, as NICs have the same groups everywhere", len(vpcs))
	}
	c.groups(n, vpcs)
}

// create tries to make a NIC as the network's are, in the subnet.
func (c *checking) create(n nic.Network, subnet string) {
	spec := nic.Spec{NIC: nic.NewID(), Network: n.Name, Cloud: n.Cloud.Spec()}
	in := &ec2.CreateNetworkInterfaceInput{
		DryRun: dryRun, SubnetId: aws.String(subnet), ClientToken: aws.String(string(spec.NIC)), Groups: n.Cloud.Groups,
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeNetworkInterface, Tags: c.p.tags(spec)}},
	}
	_, err := c.p.api.CreateNetworkInterface(c.ctx, in)
	c.permitted(n.Name, apiCreateInterface, err)
}

func (c *checking) groups(n nic.Network, vpcs map[string]bool) {
	if len(n.Cloud.Groups) > usualGroups {
		c.add(provider.Unknown, n.Name, "quota", "%d groups of each NIC: AWS allows %d unless the quota \"Security groups per network interface\" is raised", len(n.Cloud.Groups), usualGroups)
	}
	if len(n.Cloud.Groups) == 0 {
		return
	}
	out, err := call(c.ctx, c.p, apiDescribeGroups, c.p.api.DescribeSecurityGroups, &ec2.DescribeSecurityGroupsInput{
		Filters: []types.Filter{{Name: aws.String("group-id"), Values: n.Cloud.Groups}},
	})
	if err != nil {
		c.add(provider.Unknown, n.Name, "groups", "%s", err)
		return
	}
	for _, id := range n.Cloud.Groups {
		i := slices.IndexFunc(out.SecurityGroups, func(g types.SecurityGroup) bool { return aws.ToString(g.GroupId) == id })
		switch {
		case i < 0:
			c.add(provider.Bad, n.Name, "group "+id, "there is none: is it of this region and account?")
		case len(vpcs) > 0 && !vpcs[aws.ToString(out.SecurityGroups[i].VpcId)]:
			c.add(provider.Bad, n.Name, "group "+id, "is of VPC %s, and the subnets are not", aws.ToString(out.SecurityGroups[i].VpcId))
		default:
			c.add(provider.Good, n.Name, "group "+id, "")
		}
	}
}

// ours tries on a NIC of ours what is done to NICs, and whether it may be given addresses
// where these move; before there is any, that cannot be tried.
func (c *checking) ours(moves bool) {
	p, ctx := c.p, c.ctx
	byNIC, err := p.describe(ctx)
	if err != nil {
		c.add(provider.Unknown, "", "NICs", "%s", err)
		return
	}
	for _, twins := range byNIC {
		f := twins[0]
		id := aws.String(f.id)
		_, err := p.api.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{
			DryRun: dryRun, NetworkInterfaceId: id, SourceDestCheck: &types.AttributeBooleanValue{Value: aws.Bool(f.checked)},
		})
		c.permitted("", apiModifyInterface, err)
		if moves {
			c.assign(f)
		}
		if f.plug == nil {
			_, err = p.api.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{DryRun: dryRun, NetworkInterfaceId: id})
			c.permitted("", apiDeleteInterface, err)
			return
		}
		_, err = p.api.DetachNetworkInterface(ctx, &ec2.DetachNetworkInterfaceInput{DryRun: dryRun, AttachmentId: aws.String(f.plug.id)})
		c.permitted("", apiDetachInterface, err)
		return
	}
	later := []string{apiAttachInterface, apiDetachInterface, apiModifyInterface, apiDeleteInterface}
	if moves {
		later = append(later, apiAssign4)
	}
	for _, api := range later {
		c.add(provider.Unknown, "", "permission ec2:"+api, "cannot be tried before there is a NIC of this controller")
	}
}

// assign tries to give a NIC of ours an address. EC2 has no dry run for that, so it is
// the one of the subnet's router, which no interface can have: EC2 asks whether it is
// permitted first.
func (c *checking) assign(f iface) {
	about := "permission ec2:" + apiAssign4
	s, err := c.p.subnetOf(c.ctx, f.subnet)
	i := slices.IndexFunc(s.prefixes, func(p netip.Prefix) bool { return p.Addr().Is4() })
	if err != nil || i < 0 {
		c.add(provider.Unknown, "", about, "subnet %s has no router that is known: %v", f.subnet, err)
		return
	}
	_, err = c.p.api.AssignPrivateIpAddresses(c.ctx, &ec2.AssignPrivateIpAddressesInput{
		NetworkInterfaceId: aws.String(f.id), PrivateIpAddresses: texts([]netip.Addr{router(s.prefixes[i])}),
	})
	if err != nil {
		if e := c.p.classify(c.ctx, apiAssign4, err); errors.Is(e, provider.ErrInvalid) && e.Scope == provider.ScopeAddress {
			c.add(provider.Good, "", about, "tried by an address that EC2 gives to no interface")
			return
		}
	}
	c.permitted("", apiAssign4, err)
}

var _ provider.Checker = (*Provider)(nil)
