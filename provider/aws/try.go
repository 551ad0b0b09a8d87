package aws

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
)

// apiDescribeGroups is called by a check alone.
const apiDescribeGroups = "DescribeSecurityGroups"

// dryRun asks for a try without effect: EC2 carries the call out up to the question of
// whether it is permitted.
var dryRun = aws.Bool(true)

// permitted says what a dry run's error means, and whether EC2 answered to somebody
// that it knows.
func (c *cloud) permitted(ctx context.Context, api string, err error) (f provider.Finding, known bool) {
	f = provider.Finding{Verdict: provider.Unknown, About: "permission ec2:" + api}
	if err == nil {
		f.Message = "EC2 did not heed that it was a try"
		return f, true
	}
	e := c.classify(ctx, api, err)
	f.Message = e.Err.Error()
	switch saying(e).code {
	case "DryRunOperation":
		f.Verdict, f.Message = provider.Good, ""
	case "UnauthorizedOperation":
		f.Verdict, f.Message = provider.Bad, "is missing: allow it as examples/aws/iam does; EC2 says: "+f.Message
	default:
		known := saying(e).code != "" && !errors.Is(e, provider.ErrDenied)
		if errors.Is(e, provider.ErrInvalid) || !known {
			f.Verdict = provider.Bad
		}
		return f, known
	}
	return f, true
}

// TryLooks implements eni.Trier.
func (c *cloud) TryLooks(ctx context.Context) (found []provider.Finding, known bool) {
	for _, try := range []struct {
		api string
		do  func() error
	}{
		{apiDescribeSubnets, func() error {
			_, err := c.api.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{DryRun: dryRun})
			return err
		}},
		{apiDescribeGroups, func() error {
			_, err := c.api.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{DryRun: dryRun})
			return err
		}},
		{apiDescribeInterfaces, func() error {
			_, err := c.api.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{DryRun: dryRun})
			return err
		}},
		{apiDescribeInstances, func() error {
			_, err := c.api.DescribeInstances(ctx, &ec2.DescribeInstancesInput{DryRun: dryRun})
			return err
		}},
		{apiDescribeTypes, func() error {
			_, err := c.api.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{DryRun: dryRun})
			return err
		}},
	} {
		f, known := c.permitted(ctx, try.api, try.do())
		if found = append(found, f); !known {
			return found, false
		}
	}
	return found, true
}

// TryCreate implements eni.Trier.
func (c *cloud) TryCreate(ctx context.Context, w eni.Wanted) provider.Finding {
	_, err := c.api.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{
		DryRun: dryRun, SubnetId: aws.String(w.Spec.Cloud.Subnet), ClientToken: aws.String(string(w.Spec.NIC)), Groups: w.Spec.Cloud.Groups,
		TagSpecifications: withTags(types.ResourceTypeNetworkInterface, w.Tags, w.Spec.Network),
	})
	f, _ := c.permitted(ctx, apiCreateInterface, err)
	return f
}

// TryChanges implements eni.Trier.
func (c *cloud) TryChanges(ctx context.Context, f *eni.Interface, in eni.Subnet, moves bool) []provider.Finding {
	var found []provider.Finding
	if f == nil {
		later := []string{apiAttachInterface, apiDetachInterface, apiModifyInterface, apiDeleteInterface}
		if moves {
			later = append(later, apiAssign4)
		}
		for _, api := range later {
			found = append(found, provider.Finding{Verdict: provider.Unknown, About: "permission ec2:" + api, Message: "cannot be tried before there is a NIC of this controller"})
		}
		return found
	}
	add := func(api string, err error) {
		try, _ := c.permitted(ctx, api, err)
		found = append(found, try)
	}
	id := aws.String(f.ID)
	_, err := c.api.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{
		DryRun: dryRun, NetworkInterfaceId: id, SourceDestCheck: &types.AttributeBooleanValue{Value: aws.Bool(f.Checked)},
	})
	add(apiModifyInterface, err)
	if moves {
		found = append(found, c.tryAssign(ctx, id, in))
	}
	if f.Plug == nil {
		_, err = c.api.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{DryRun: dryRun, NetworkInterfaceId: id})
		add(apiDeleteInterface, err)
		return found
	}
	_, err = c.api.DetachNetworkInterface(ctx, &ec2.DetachNetworkInterfaceInput{DryRun: dryRun, AttachmentId: aws.String(f.Plug.ID)})
	add(apiDetachInterface, err)
	return found
}

// tryAssign tries to give a NIC of ours an address. EC2 has no dry run for that, so it
// is the one of the subnet's router, which no interface can have: EC2 asks whether it is
// permitted first.
func (c *cloud) tryAssign(ctx context.Context, id *string, in eni.Subnet) provider.Finding {
	f := provider.Finding{Verdict: provider.Unknown, About: "permission ec2:" + apiAssign4}
	i := slices.IndexFunc(in.Nets, func(n nic.Subnet) bool { return n.Gateway.Is4() })
	if i < 0 {
		f.Message = "the subnet of the NIC that it is tried on has no router that is known"
		return f
	}
	_, err := c.api.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{
		NetworkInterfaceId: id, PrivateIpAddresses: texts([]netip.Addr{in.Nets[i].Gateway}),
	})
	if err != nil {
		if e := c.classify(ctx, apiAssign4, err); errors.Is(e, provider.ErrInvalid) && e.Scope == provider.ScopeAddress {
			f.Verdict, f.Message = provider.Good, "tried by an address that EC2 gives to no interface"
			return f
		}
	}
	f, _ = c.permitted(ctx, apiAssign4, err)
	return f
}
