package aws

import (
	"context"
	"net/netip"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
)

// PublicAddrs implements eni.Cloud. EC2 lists addresses in one page.
func (c *cloud) PublicAddrs(ctx context.Context, claim nic.ClaimID) ([]eni.PublicAddr, error) {
	filters := filter("tag:"+eni.TagCluster, c.cluster)
	if claim != "" {
		filters = append(filters, filter("tag:"+eni.TagClaim, claim)...)
	}
	out, err := call(ctx, c, apiDescribeAddresses, c.api.DescribeAddresses, &ec2.DescribeAddressesInput{Filters: filters})
	if err != nil {
		return nil, err
	}
	var all []eni.PublicAddr
	for _, e := range out.Addresses {
		all = append(all, publicFrom(e))
	}
	return all, nil
}

func publicFrom(e types.Address) eni.PublicAddr {
	addr, _ := netip.ParseAddr(aws.ToString(e.PublicIp)) // zero where it is none
	return eni.PublicAddr{
		ID: aws.ToString(e.AllocationId), Addr: addr, Claim: nic.ClaimID(tagsFrom(e.Tags)[eni.TagClaim]),
		Interface: aws.ToString(e.NetworkInterfaceId), Association: aws.ToString(e.AssociationId),
	}
}

// Allocate implements eni.Cloud. EC2 knows no token for it.
func (c *cloud) Allocate(ctx context.Context, claim nic.ClaimID, tags map[string]string) (eni.PublicAddr, error) {
	out, err := call(ctx, c, apiAllocateAddress, c.api.AllocateAddress, &ec2.AllocateAddressInput{
		Domain: types.DomainTypeVpc, TagSpecifications: withTags(types.ResourceTypeElasticIp, tags, string(claim)),
	}, once)
	if err != nil {
		return eni.PublicAddr{}, err
	}
	if aws.ToString(out.AllocationId) == "" {
		return eni.PublicAddr{}, provider.Errorf(provider.ErrUnknown, "%s: the answer has no address in it", apiAllocateAddress)
	}
	return publicFrom(types.Address{AllocationId: out.AllocationId, PublicIp: out.PublicIp}), nil
}

// Lead implements eni.Cloud.
func (c *cloud) Lead(ctx context.Context, a eni.PublicAddr, to eni.Interface) error {
	_, err := call(ctx, c, apiAssociateAddress, c.api.AssociateAddress, &ec2.AssociateAddressInput{
		AllocationId: aws.String(a.ID), NetworkInterfaceId: aws.String(to.ID), AllowReassociation: aws.Bool(false),
	})
	return err
}

// Unlead implements eni.Cloud.
func (c *cloud) Unlead(ctx context.Context, a eni.PublicAddr) error {
	_, err := call(ctx, c, apiDisassociate, c.api.DisassociateAddress, &ec2.DisassociateAddressInput{AssociationId: aws.String(a.Association)})
	return err
}

// Release implements eni.Cloud.
func (c *cloud) Release(ctx context.Context, a eni.PublicAddr) error {
	_, err := call(ctx, c, apiReleaseAddress, c.api.ReleaseAddress, &ec2.ReleaseAddressInput{AllocationId: aws.String(a.ID)})
	return err
}
