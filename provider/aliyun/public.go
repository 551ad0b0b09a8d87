package aliyun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
)

// publicName is the name of a claim's public address, by which it is found again: the call
// that makes one takes no tags, and one that was tagged afterwards could be left without.
func (c *cloud) publicName(claim nic.ClaimID) string {
	return "nicferry." + c.cluster + "." + string(claim)
}

// PublicAddrs implements eni.Cloud.
func (c *cloud) PublicAddrs(ctx context.Context, claim nic.ClaimID) ([]eni.PublicAddr, error) {
	if err := c.pace.Take(ctx, apiDescribeAddresses); err != nil {
		return nil, err
	}
	var all []eni.PublicAddr
	err := c.numbered(ctx, apiDescribeAddresses, func(number int) (read, total int, err error) {
		out, err := send(ctx, c, apiDescribeAddresses, func() *vpc.DescribeEipAddressesRequest {
			r := vpc.CreateDescribeEipAddressesRequest()
			r.PageNumber, r.PageSize = requests.NewInteger(number), requests.NewInteger(maxNumbered)
			if claim != "" {
				r.EipName = c.publicName(claim)
			}
			return r
		}, vpc.CreateDescribeEipAddressesResponse)
		if err != nil {
			return 0, 0, err
		}
		for _, e := range out.EipAddresses.EipAddress {
			of, ours := strings.CutPrefix(e.Name, c.publicName(""))
			if id, err := nic.ParseClaimID(of); ours && err == nil && (claim == "" || id == claim) {
				all = append(all, publicFrom(e, id))
			}
		}
		return len(out.EipAddresses.EipAddress), out.TotalCount, nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// publicFrom reads what VPC says. An address that is on its way off an interface leads to
// none, and is not free either.
func publicFrom(e vpc.EipAddress, claim nic.ClaimID) eni.PublicAddr {
	addr, _ := netip.ParseAddr(e.IpAddress) // zero where it is none
	a := eni.PublicAddr{ID: e.AllocationId, Addr: addr, Claim: claim}
	switch e.Status {
	case "Available":
	case "Unassociating":
		a.Association = unassociating
	default:
		a.Interface, a.Association = e.InstanceId, cmp.Or(e.InstanceId, e.Status)
	}
	return a
}

// unassociating is the association of an address that is on its way off.
const unassociating = "unassociating"

// Allocate implements eni.Cloud. What the tags say is in the name.
func (c *cloud) Allocate(ctx context.Context, claim nic.ClaimID, _ map[string]string) (a eni.PublicAddr, err error) {
	for n := range tokens {
		a, err = c.allocate(ctx, claim, token(string(claim), n))
		if !errors.Is(err, errFirstFailed) && !errors.Is(err, eni.ErrTokenUsed) { // by one that was given back
			break
		}
	}
	return a, err
}

func (c *cloud) allocate(ctx context.Context, claim nic.ClaimID, token string) (eni.PublicAddr, error) {
	out, err := call(ctx, c, apiAllocateAddress, func() *vpc.AllocateEipAddressRequest {
		r := vpc.CreateAllocateEipAddressRequest()
		r.ClientToken, r.Name = token, c.publicName(claim)
		return r
	}, vpc.CreateAllocateEipAddressResponse)
	if err != nil {
		return eni.PublicAddr{}, err
	}
	if out.AllocationId == "" {
		return eni.PublicAddr{}, provider.Errorf(provider.ErrUnknown, "%s: the answer has no address in it", apiAllocateAddress)
	}
	return publicFrom(vpc.EipAddress{AllocationId: out.AllocationId, IpAddress: out.EipAddress, Status: "Available"}, claim), nil
}

// Lead implements eni.Cloud. It begins, and refuses what it is at already.
func (c *cloud) Lead(ctx context.Context, a eni.PublicAddr, to eni.Interface) error {
	token := fresh()
	return do(ctx, c, apiAssociateAddress, func() *vpc.AssociateEipAddressRequest {
		r := vpc.CreateAssociateEipAddressRequest()
		r.AllocationId, r.InstanceType, r.InstanceId, r.ClientToken = a.ID, kindInterface, to.ID, token
		return r
	}, vpc.CreateAssociateEipAddressResponse)
}

// Unlead implements eni.Cloud.
func (c *cloud) Unlead(ctx context.Context, a eni.PublicAddr) error {
	if a.Interface == "" {
		return &provider.Error{
			Kind: provider.ErrBusy, Scope: provider.ScopeAddress, RetryAfter: askedAfter,
			Err: fmt.Errorf("%s is %s", a.Addr, a.Association),
		}
	}
	token := fresh()
	return do(ctx, c, apiUnassociate, func() *vpc.UnassociateEipAddressRequest {
		r := vpc.CreateUnassociateEipAddressRequest()
		r.AllocationId, r.InstanceType, r.InstanceId, r.ClientToken = a.ID, kindInterface, a.Interface, token
		return r
	}, vpc.CreateUnassociateEipAddressResponse)
}

// Release implements eni.Cloud.
func (c *cloud) Release(ctx context.Context, a eni.PublicAddr) error {
	return do(ctx, c, apiReleaseAddress, func() *vpc.ReleaseEipAddressRequest {
		r := vpc.CreateReleaseEipAddressRequest()
		r.AllocationId = a.ID
		return r
	}, vpc.CreateReleaseEipAddressResponse)
}
