package aws

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

const (
	// subnetKept is for what never changes of a subnet; countKept for how many
	// addresses are free.
	subnetKept = 24 * time.Hour
	countKept  = 10 * time.Second
	// fullFor is how long a subnet is left alone that was full.
	fullFor = time.Minute
)

// A subnet is one of EC2's.
type subnet struct {
	id, zone, vpc string
	prefixes      []netip.Prefix
	free          int // IPv4 addresses, by then
	by            time.Time
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

// of returns those of the subnet's prefixes that addresses are from.
func (s subnet) of(addrs []netip.Addr) []nic.Subnet {
	var all []nic.Subnet
	for _, p := range s.prefixes {
		for _, a := range addrs {
			if p.Contains(a) {
				all = append(all, nic.Subnet{Prefix: p, Gateway: router(p)})
				break
			}
		}
	}
	return all
}

func (s subnet) contains(a netip.Addr) bool {
	for _, p := range s.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (p *Provider) subnetOf(ctx context.Context, id string) (subnet, error) {
	if s, ok := p.subnets.Get(id); ok {
		return s, nil
	}
	all, err := p.nets.Ask(ctx, id)
	if err != nil {
		return subnet{}, err
	}
	s, ok := all[id]
	if !ok {
		return subnet{}, noSubnet(id)
	}
	return s, nil
}

func noSubnet(id string) error {
	return &provider.Error{
		Kind: provider.ErrInvalid, Scope: provider.ScopeSubnet,
		Err: fmt.Errorf("no subnet %s: is it of this region and account, and may it be described?", id),
	}
}

// describeSubnets is one batch of questions for subnets. It misses what there is not.
func (p *Provider) describeSubnets(ctx context.Context, ids []string) (map[string]subnet, error) {
	all := map[string]subnet{}
	in := &ec2.DescribeSubnetsInput{
		Filters:    []types.Filter{{Name: aws.String("subnet-id"), Values: ids}},
		MaxResults: aws.Int32(maxPage),
	}
	err := p.pages(ctx, apiDescribeSubnets, func(token *string) (*string, error) {
		in.NextToken = token
		out, err := send(ctx, p, apiDescribeSubnets, p.api.DescribeSubnets, in)
		if err != nil {
			return nil, err
		}
		for _, s := range out.Subnets {
			all[aws.ToString(s.SubnetId)] = subnetFrom(s)
		}
		return out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	for id, s := range all {
		p.subnets.Put(id, s)
	}
	return all, nil
}

func subnetFrom(s types.Subnet) subnet {
	got := subnet{
		id: aws.ToString(s.SubnetId), zone: aws.ToString(s.AvailabilityZone), vpc: aws.ToString(s.VpcId),
		free: int(aws.ToInt32(s.AvailableIpAddressCount)), by: time.Now(),
	}
	texts := []*string{s.CidrBlock}
	for _, six := range s.Ipv6CidrBlockAssociationSet {
		if six.Ipv6CidrBlockState == nil || six.Ipv6CidrBlockState.State == types.SubnetCidrBlockStateCodeAssociated {
			texts = append(texts, six.Ipv6CidrBlock)
		}
	}
	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(aws.ToString(text)); err == nil {
			got.prefixes = append(got.prefixes, prefix)
		}
	}
	return got
}

// full is which subnets were full lately.
type full struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (f *full) block(subnet string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.until == nil {
		f.until = map[string]time.Time{}
	}
	f.until[subnet] = time.Now().Add(fullFor)
}

// blocked is how long the subnet is still left alone; 0 is not.
func (f *full) blocked(subnet string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(0, time.Until(f.until[subnet]))
}
