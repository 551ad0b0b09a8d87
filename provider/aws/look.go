package aws

import (
	"context"
	"net/netip"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/calls"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/secrets"
)

// maxPage is the most that a page holds.
const maxPage = 1000

// A cloud is EC2 by the SDK. It asks by filters and never by ids: an id that EC2 does
// not show yet, or any more, fails the whole call.
type cloud struct {
	api     *ec2.Client
	cluster string
	words   *secrets.Words // that are in no error
	pace    *calls.Pace
}

// Interfaces implements eni.Cloud.
func (c *cloud) Interfaces(ctx context.Context, nics []nic.ID) ([]eni.Interface, error) {
	in := &ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(maxPage)}
	if len(nics) > 0 {
		in.Filters = filter("tag:"+eni.TagNIC, nics...)
	}
	in.Filters = append(in.Filters, filter("tag:"+eni.TagCluster, c.cluster)...)
	var all []eni.Interface
	err := c.pages(ctx, apiDescribeInterfaces, func(token *string) (*string, error) {
		in.NextToken = token
		out, err := send(ctx, c, apiDescribeInterfaces, c.api.DescribeNetworkInterfaces, in)
		if err != nil {
			return nil, err
		}
		for _, ni := range out.NetworkInterfaces {
			all = append(all, interfaceFrom(ni))
		}
		return out.NextToken, nil
	})
	return all, err
}

// filter has a thing be one of the values.
func filter[T ~string](name string, values ...T) []types.Filter {
	f := types.Filter{Name: aws.String(name)}
	for _, v := range values {
		f.Values = append(f.Values, string(v))
	}
	return []types.Filter{f}
}

// pages are those of a list, with the SDK's kind of token.
func (c *cloud) pages(ctx context.Context, api string, page func(token *string) (*string, error)) error {
	return c.pace.Pages(ctx, api, func(token string) (string, error) {
		var from *string
		if token != "" {
			from = &token
		}
		next, err := page(from)
		return aws.ToString(next), err
	})
}

// Instances implements eni.Cloud.
func (c *cloud) Instances(ctx context.Context, ids []nic.InstanceID) (map[nic.InstanceID]eni.Instance, error) {
	in := &ec2.DescribeInstancesInput{Filters: filter("instance-id", ids...), MaxResults: aws.Int32(maxPage)}
	got := map[nic.InstanceID]eni.Instance{}
	err := c.pages(ctx, apiDescribeInstances, func(token *string) (*string, error) {
		in.NextToken = token
		out, err := send(ctx, c, apiDescribeInstances, c.api.DescribeInstances, in)
		if err != nil {
			return nil, err
		}
		for _, r := range out.Reservations {
			for _, i := range r.Instances {
				got[nic.InstanceID(aws.ToString(i.InstanceId))] = instanceFrom(i)
			}
		}
		return out.NextToken, nil
	})
	return got, err
}

// instanceFrom reads what EC2 says, with the device indexes of network card 0.
func instanceFrom(i types.Instance) eni.Instance {
	m := eni.Instance{Kind: string(i.InstanceType), Used: map[int]bool{}}
	if i.Placement != nil {
		m.Zone = aws.ToString(i.Placement.AvailabilityZone)
	}
	if i.State != nil {
		m.Power = eni.Power(i.State.Name) // these are EC2's own words
	}
	for _, ni := range i.NetworkInterfaces {
		if a := ni.Attachment; a != nil && aws.ToInt32(a.NetworkCardIndex) == 0 {
			m.Used[int(aws.ToInt32(a.DeviceIndex))] = true
		}
	}
	return m
}

// Types implements eni.Cloud.
func (c *cloud) Types(ctx context.Context, kinds []string) (map[string]eni.Capacity, error) {
	out, err := send(ctx, c, apiDescribeTypes, c.api.DescribeInstanceTypes, &ec2.DescribeInstanceTypesInput{Filters: filter("instance-type", kinds...)})
	if err != nil {
		return nil, err
	}
	all := map[string]eni.Capacity{}
	for _, t := range out.InstanceTypes {
		if l, ok := capacityFrom(t); ok {
			all[string(t.InstanceType)] = l
		}
	}
	return all, nil
}

// capacityFrom is what network card 0 can hold.
func capacityFrom(t types.InstanceTypeInfo) (eni.Capacity, bool) {
	n := t.NetworkInfo
	if n == nil {
		return eni.Capacity{}, false
	}
	l := eni.Capacity{NICs: int(aws.ToInt32(n.MaximumNetworkInterfaces)), Addrs: int(aws.ToInt32(n.Ipv4AddressesPerInterface))}
	for _, card := range n.NetworkCards {
		if aws.ToInt32(card.NetworkCardIndex) == 0 && card.MaximumNetworkInterfaces != nil {
			l.NICs = int(*card.MaximumNetworkInterfaces)
		}
	}
	return l, l.NICs > 0 && l.Addrs > 0
}

// Subnets implements eni.Cloud.
func (c *cloud) Subnets(ctx context.Context, ids []string) (map[string]eni.Subnet, error) {
	all := map[string]eni.Subnet{}
	in := &ec2.DescribeSubnetsInput{Filters: filter("subnet-id", ids...), MaxResults: aws.Int32(maxPage)}
	err := c.pages(ctx, apiDescribeSubnets, func(token *string) (*string, error) {
		in.NextToken = token
		out, err := send(ctx, c, apiDescribeSubnets, c.api.DescribeSubnets, in)
		if err != nil {
			return nil, err
		}
		for _, s := range out.Subnets {
			all[aws.ToString(s.SubnetId)] = subnetFrom(s)
		}
		return out.NextToken, nil
	})
	return all, err
}

func subnetFrom(s types.Subnet) eni.Subnet {
	got := eni.Subnet{
		ID: aws.ToString(s.SubnetId), Zone: aws.ToString(s.AvailabilityZone), VPC: aws.ToString(s.VpcId),
		Free: int(aws.ToInt32(s.AvailableIpAddressCount)),
	}
	texts := []*string{s.CidrBlock}
	for _, six := range s.Ipv6CidrBlockAssociationSet {
		if six.Ipv6CidrBlockState == nil || six.Ipv6CidrBlockState.State == types.SubnetCidrBlockStateCodeAssociated {
			texts = append(texts, six.Ipv6CidrBlock)
		}
	}
	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(aws.ToString(text)); err == nil {
			got.Nets = append(got.Nets, nic.Subnet{Prefix: prefix, Gateway: router(prefix)})
		}
	}
	return got
}

// router6 is the address at which a VPC's router is reached over IPv6 in each
// subnet (AWS: "Subnet sizing for IPv6" in the VPC user guide). It has the first
// one after each prefix too, as in IPv4; this is the one that AWS announced as the
// default gateway in November 2022, and that cilium and amazon-vpc-cni-k8s use.
var router6 = netip.MustParseAddr("fe80:ec2::1")

// router is the next hop out of a prefix of EC2's.
func router(p netip.Prefix) netip.Addr {
	if p.Addr().Is6() {
		return router6
	}
	return p.Masked().Addr().Next()
}

// Groups implements eni.Cloud.
func (c *cloud) Groups(ctx context.Context, ids []string) (map[string]string, error) {
	out, err := call(ctx, c, apiDescribeGroups, c.api.DescribeSecurityGroups, &ec2.DescribeSecurityGroupsInput{Filters: filter("group-id", ids...)})
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, g := range out.SecurityGroups {
		all[aws.ToString(g.GroupId)] = aws.ToString(g.VpcId)
	}
	return all, nil
}
