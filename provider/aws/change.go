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

// Create implements eni.Cloud. Prefixes are asked for by number: with named ones EC2
// answers InternalError to tags.
func (c *cloud) Create(ctx context.Context, w eni.Wanted) (eni.Interface, error) {
	s := w.Spec.Cloud
	in := &ec2.CreateNetworkInterfaceInput{
		SubnetId: aws.String(s.Subnet), ClientToken: aws.String(string(w.Spec.NIC)), Description: aws.String(w.Description), Groups: s.Groups,
		TagSpecifications: withTags(types.ResourceTypeNetworkInterface, w.Tags, w.Spec.Network),
	}
	if s.Prefixes > 0 {
		in.Ipv4PrefixCount = aws.Int32(int32(s.Prefixes)) //nolint:gosec // the config bounds it
	}
	if s.Secondary > 0 { // by number: the token keeps it from being twice as many
		in.SecondaryPrivateIpAddressCount = aws.Int32(int32(s.Secondary)) //nolint:gosec // the type's limit bounds it
	}
	address(in, w.Spec.Addrs, s.IPv6)
	out, err := call(ctx, c, apiCreateInterface, c.api.CreateNetworkInterface, in)
	if err != nil {
		return eni.Interface{}, err
	}
	if out.NetworkInterface == nil || aws.ToString(out.NetworkInterface.NetworkInterfaceId) == "" {
		return eni.Interface{}, provider.Errorf(provider.ErrUnknown, "%s: the answer has no interface in it", apiCreateInterface)
	}
	f := interfaceFrom(*out.NetworkInterface)
	f.Checked = true // as made, should the answer not repeat it
	return f, nil
}

// address says which addresses the interface gets. Without IPv6 it gets none, even
// in a subnet that gives each interface one.
func address(in *ec2.CreateNetworkInterfaceInput, addrs []netip.Addr, six bool) {
	var four []netip.Addr
	for _, a := range addrs {
		if a.Is4() {
			four = append(four, a)
			continue
		}
		in.Ipv6Addresses = append(in.Ipv6Addresses, types.InstanceIpv6Address{Ipv6Address: aws.String(a.String())})
	}
	if len(in.Ipv6Addresses) == 0 {
		in.Ipv6AddressCount = aws.Int32(0)
		if six {
			in.Ipv6AddressCount = aws.Int32(1)
		}
	}
	if len(four) == 1 {
		in.PrivateIpAddress = aws.String(four[0].String())
		return
	}
	for i, a := range four {
		in.PrivateIpAddresses = append(in.PrivateIpAddresses, types.PrivateIpAddressSpecification{
			PrivateIpAddress: aws.String(a.String()), Primary: aws.Bool(i == 0),
		})
	}
}

// Attach implements eni.Cloud.
func (c *cloud) Attach(ctx context.Context, f eni.Interface, instance nic.InstanceID, index int) (string, error) {
	out, err := call(ctx, c, apiAttachInterface, c.api.AttachNetworkInterface, &ec2.AttachNetworkInterfaceInput{
		NetworkInterfaceId: aws.String(f.ID), InstanceId: aws.String(string(instance)),
		DeviceIndex: aws.Int32(int32(index)), //nolint:gosec // below the limit
		// Always said: without it EC2 has looked for the index on all cards.
		NetworkCardIndex: aws.Int32(0),
	})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.AttachmentId), nil
}

// Detach implements eni.Cloud.
func (c *cloud) Detach(ctx context.Context, f eni.Interface) error {
	_, err := call(ctx, c, apiDetachInterface, c.api.DetachNetworkInterface, &ec2.DetachNetworkInterfaceInput{
		AttachmentId: aws.String(f.Plug.ID), Force: aws.Bool(false),
	})
	return err
}

// Delete implements eni.Cloud.
func (c *cloud) Delete(ctx context.Context, f eni.Interface) error {
	_, err := call(ctx, c, apiDeleteInterface, c.api.DeleteNetworkInterface, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: aws.String(f.ID)})
	return err
}

// Tag implements eni.Cloud.
func (c *cloud) Tag(ctx context.Context, f eni.Interface, key, value string) error {
	_, err := call(ctx, c, apiCreateTags, c.api.CreateTags, &ec2.CreateTagsInput{
		Resources: []string{f.ID}, Tags: []types.Tag{{Key: aws.String(key), Value: aws.String(value)}},
	})
	return err
}

// Forward implements eni.Cloud.
func (c *cloud) Forward(ctx context.Context, f eni.Interface) error {
	return c.modify(ctx, ec2.ModifyNetworkInterfaceAttributeInput{
		NetworkInterfaceId: aws.String(f.ID), SourceDestCheck: &types.AttributeBooleanValue{Value: aws.Bool(false)},
	})
}

// Tie implements eni.Cloud.
func (c *cloud) Tie(ctx context.Context, f eni.Interface) error {
	return c.modify(ctx, ec2.ModifyNetworkInterfaceAttributeInput{
		NetworkInterfaceId: aws.String(f.ID),
		Attachment:         &types.NetworkInterfaceAttachmentChanges{AttachmentId: aws.String(f.Plug.ID), DeleteOnTermination: aws.Bool(true)},
	})
}

func (c *cloud) modify(ctx context.Context, in ec2.ModifyNetworkInterfaceAttributeInput) error {
	_, err := call(ctx, c, apiModifyInterface, c.api.ModifyNetworkInterfaceAttribute, &in)
	return err
}

// Assign implements eni.Cloud. EC2 takes what is there already for no error.
func (c *cloud) Assign(ctx context.Context, to eni.Interface, addrs []netip.Addr) error {
	return c.give(ctx, to, addrs, false)
}

// Move implements eni.Cloud. EC2 re-assigns IPv4 alone.
func (c *cloud) Move(ctx context.Context, addrs []netip.Addr, from, to eni.Interface) error {
	if six := only(addrs, netip.Addr.Is6); len(six) > 0 {
		if err := c.Unassign(ctx, from, six); err != nil {
			return err
		}
	}
	return c.give(ctx, to, addrs, true)
}

func (c *cloud) give(ctx context.Context, f eni.Interface, addrs []netip.Addr, move bool) error {
	if four := only(addrs, netip.Addr.Is4); len(four) > 0 {
		_, err := call(ctx, c, apiAssign4, c.api.AssignPrivateIpAddresses, &ec2.AssignPrivateIpAddressesInput{
			NetworkInterfaceId: aws.String(f.ID), PrivateIpAddresses: texts(four), AllowReassignment: aws.Bool(move),
		}, once) // of several attempts the first could be done, and the last refused
		if err != nil {
			return err
		}
	}
	six := only(addrs, netip.Addr.Is6)
	if len(six) == 0 {
		return nil
	}
	_, err := call(ctx, c, apiAssign6, c.api.AssignIpv6Addresses, &ec2.AssignIpv6AddressesInput{
		NetworkInterfaceId: aws.String(f.ID), Ipv6Addresses: texts(six),
	})
	return err
}

// Unassign implements eni.Cloud.
func (c *cloud) Unassign(ctx context.Context, from eni.Interface, addrs []netip.Addr) error {
	if four := only(addrs, netip.Addr.Is4); len(four) > 0 {
		_, err := call(ctx, c, apiUnassign4, c.api.UnassignPrivateIpAddresses, &ec2.UnassignPrivateIpAddressesInput{
			NetworkInterfaceId: aws.String(from.ID), PrivateIpAddresses: texts(four),
		})
		if err != nil && !errors.Is(err, provider.ErrNotFound) {
			return err
		}
	}
	six := only(addrs, netip.Addr.Is6)
	if len(six) == 0 {
		return nil
	}
	_, err := call(ctx, c, apiUnassign6, c.api.UnassignIpv6Addresses, &ec2.UnassignIpv6AddressesInput{
		NetworkInterfaceId: aws.String(from.ID), Ipv6Addresses: texts(six),
	})
	if errors.Is(err, provider.ErrNotFound) {
		return nil
	}
	return err
}

func only(addrs []netip.Addr, is func(netip.Addr) bool) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !is(a) })
}

func texts(addrs []netip.Addr) []string {
	all := make([]string, len(addrs))
	for i, a := range addrs {
		all[i] = a.String()
	}
	return all
}
