package aws

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Publish implements provider.Publisher by an elastic IP address with the claim's
// tag. EC2 knows no token for them: after a lost reply there may be two, of which
// the one that leads somewhere is the claim's, and the other is given back once it
// is seen; that it cannot be is no failure of what is asked.
func (p *Provider) Publish(ctx context.Context, claim nic.ClaimID, id nic.ID) (netip.Addr, error) {
	fail := p.failing("publish", id)
	f, err := p.have(ctx, id)
	if err != nil {
		return netip.Addr{}, fail(err)
	}
	all, err := p.elastic(ctx, claim)
	if err != nil {
		return netip.Addr{}, fail(err)
	}
	var e types.Address
	if len(all) > 0 {
		e = all[0]
	} else if e, err = p.allocate(ctx, claim); err != nil {
		return netip.Addr{}, fail(err)
	}
	if err := p.lead(ctx, e, f); err != nil {
		return netip.Addr{}, fail(p.perhapsYoung(id, err))
	}
	for _, twin := range all[min(1, len(all)):] {
		if err := p.giveBack(ctx, twin); err != nil { // the claim has what it asked for all the same
			p.opts.Log.Warn("claim has another public address, which leads nowhere: tried again with the next move or the end of the claim",
				"claim", claim, "address", aws.ToString(twin.PublicIp), "err", p.failing("publish", id)(err))
		}
	}
	addr, err := netip.ParseAddr(aws.ToString(e.PublicIp))
	if err != nil {
		return netip.Addr{}, fail(provider.NoAnswer(err))
	}
	return addr, nil
}

func (p *Provider) allocate(ctx context.Context, claim nic.ClaimID) (types.Address, error) {
	out, err := call(ctx, p, apiAllocateAddress, p.api.AllocateAddress, &ec2.AllocateAddressInput{
		Domain: types.DomainTypeVpc,
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeElasticIp, Tags: []types.Tag{
			{Key: aws.String(tagClaim), Value: aws.String(string(claim))},
			{Key: aws.String(tagCluster), Value: aws.String(p.opts.Cluster)},
			{Key: aws.String(tagName), Value: aws.String("nicferry " + string(claim))},
		}}},
	}, once)
	if err != nil {
		return types.Address{}, err
	}
	if aws.ToString(out.AllocationId) == "" {
		return types.Address{}, provider.Errorf(provider.ErrUnknown, "%s: the answer has no address in it", apiAllocateAddress)
	}
	return types.Address{AllocationId: out.AllocationId, PublicIp: out.PublicIp}, nil
}

// lead has a public address lead to the interface. What it led to before was the
// same claim's; EC2 may not take it from there by itself, in case it was not.
func (p *Provider) lead(ctx context.Context, e types.Address, f iface) error {
	if aws.ToString(e.NetworkInterfaceId) == f.id {
		return nil
	}
	if err := p.unlead(ctx, e); err != nil {
		return err
	}
	_, err := call(ctx, p, apiAssociateAddress, p.api.AssociateAddress, &ec2.AssociateAddressInput{
		AllocationId: e.AllocationId, NetworkInterfaceId: aws.String(f.id), AllowReassociation: aws.Bool(false),
	})
	return err
}

func (p *Provider) unlead(ctx context.Context, e types.Address) error {
	if aws.ToString(e.AssociationId) == "" {
		return nil
	}
	_, err := call(ctx, p, apiDisassociate, p.api.DisassociateAddress, &ec2.DisassociateAddressInput{AssociationId: e.AssociationId})
	if errors.Is(err, provider.ErrNotFound) {
		return nil
	}
	return err
}

// Unpublish implements provider.Publisher.
func (p *Provider) Unpublish(ctx context.Context, claim nic.ClaimID) error {
	fail := p.failing("unpublish", "")
	all, err := p.elastic(ctx, claim)
	if err != nil {
		return fail(err)
	}
	for _, e := range all {
		if err := p.giveBack(ctx, e); err != nil {
			return fail(err)
		}
	}
	return nil
}

// giveBack has a public address lead nowhere, and be the account's no more.
func (p *Provider) giveBack(ctx context.Context, e types.Address) error {
	if err := p.unlead(ctx, e); err != nil {
		return err
	}
	_, err := call(ctx, p, apiReleaseAddress, p.api.ReleaseAddress, &ec2.ReleaseAddressInput{AllocationId: e.AllocationId})
	if errors.Is(err, provider.ErrNotFound) {
		return nil
	}
	return err
}

// Published implements provider.Publisher.
func (p *Provider) Published(ctx context.Context) (map[nic.ClaimID]netip.Addr, error) {
	all, err := p.elastic(ctx, "")
	if err != nil {
		return nil, p.failing("published", "")(err)
	}
	claims := map[nic.ClaimID]netip.Addr{}
	for _, e := range all {
		claim := nic.ClaimID(tag(e.Tags, tagClaim))
		addr, err := netip.ParseAddr(aws.ToString(e.PublicIp))
		if _, twice := claims[claim]; err == nil && claim != "" && !twice {
			claims[claim] = addr
		}
	}
	return claims, nil
}

// elastic are this cluster's elastic addresses, of one claim or of all: those that
// lead somewhere first, and then by id. EC2 lists addresses in one page.
func (p *Provider) elastic(ctx context.Context, claim nic.ClaimID) ([]types.Address, error) {
	filters := []types.Filter{{Name: aws.String("tag:" + tagCluster), Values: []string{p.opts.Cluster}}}
	if claim != "" {
		if _, err := nic.ParseClaimID(string(claim)); err != nil {
			return nil, provider.Errorf(provider.ErrInvalid, "%s", err)
		}
		filters = append(filters, types.Filter{Name: aws.String("tag:" + tagClaim), Values: []string{string(claim)}})
	}
	out, err := call(ctx, p, apiDescribeAddresses, p.api.DescribeAddresses, &ec2.DescribeAddressesInput{Filters: filters})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out.Addresses, func(a, b types.Address) int {
		idle := func(e types.Address) bool { return aws.ToString(e.AssociationId) == "" }
		if idle(a) != idle(b) {
			if idle(a) {
				return 1
			}
			return -1
		}
		return cmp.Compare(aws.ToString(a.AllocationId), aws.ToString(b.AllocationId))
	})
	return out.Addresses, nil
}
