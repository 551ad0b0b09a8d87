package aws

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Assign implements provider.AddrAssigner. EC2 takes an IPv4 address from any
// interface of the subnet if it may; so it may only where a look has shown that
// the address is on the NIC that it is to be taken from, or on this one: EC2 takes
// what is there already for no error.
func (p *Provider) Assign(ctx context.Context, id nic.ID, addrs []netip.Addr, from nic.ID) error {
	fail := p.failing("assign", id)
	ids := []nic.ID{id}
	if from != "" {
		ids = append(ids, from)
	}
	all, err := p.look(ctx, ids...)
	if err != nil {
		return fail(err)
	}
	to, ok := all[id]
	if !ok {
		return fail(errNotFound("EC2 shows no interface with its tag"))
	}
	source := all[from]
	for _, of := range ids {
		defer p.recent.acts(of)()
	}
	var taken, fresh []netip.Addr
	for _, a := range addrs {
		switch {
		case slices.Contains(to.addrs, a) && (from == "" || a.Is6()):
		case slices.Contains(to.addrs, a), slices.Contains(source.addrs, a): // what is shown may be of before the last order
			taken = append(taken, a)
		default:
			fresh = append(fresh, a)
		}
	}
	if six := sixes(taken); len(six) > 0 { // EC2 re-assigns IPv4 alone
		if err := p.takeFrom(ctx, source, nil, six); err != nil {
			return fail(err)
		}
	}
	if err := p.giveTo(ctx, to, fours(taken), sixes(taken), true); err != nil {
		return fail(err)
	}
	if err := p.giveTo(ctx, to, fours(fresh), sixes(fresh), false); err != nil {
		return fail(err)
	}
	return nil
}

// Unassign implements provider.AddrAssigner.
func (p *Provider) Unassign(ctx context.Context, id nic.ID, addrs []netip.Addr) error {
	fail := p.failing("unassign", id)
	all, err := p.look(ctx, id)
	if err != nil {
		return fail(err)
	}
	f, ok := all[id]
	if !ok {
		return fail(errNotFound("EC2 shows no interface with its tag"))
	}
	defer p.recent.acts(id)()
	has := slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !slices.Contains(f.addrs, a) })
	if err := p.takeFrom(ctx, f, fours(has), sixes(has)); err != nil {
		return fail(err)
	}
	return nil
}

func (p *Provider) giveTo(ctx context.Context, f iface, four, six []netip.Addr, move bool) error {
	if len(four) > 0 {
		_, err := call(ctx, p, apiAssign4, p.api.AssignPrivateIpAddresses, &ec2.AssignPrivateIpAddressesInput{
			NetworkInterfaceId: aws.String(f.id), PrivateIpAddresses: texts(four), AllowReassignment: aws.Bool(move),
		}, once) // of several attempts the first could be done, and the last refused
		if err != nil {
			return err
		}
	}
	if len(six) == 0 {
		return nil
	}
	_, err := call(ctx, p, apiAssign6, p.api.AssignIpv6Addresses, &ec2.AssignIpv6AddressesInput{
		NetworkInterfaceId: aws.String(f.id), Ipv6Addresses: texts(six),
	})
	return err
}

// takeFrom takes addresses off; those that are off already are no error.
func (p *Provider) takeFrom(ctx context.Context, f iface, four, six []netip.Addr) error {
	if len(four) > 0 {
		_, err := call(ctx, p, apiUnassign4, p.api.UnassignPrivateIpAddresses, &ec2.UnassignPrivateIpAddressesInput{
			NetworkInterfaceId: aws.String(f.id), PrivateIpAddresses: texts(four),
		})
		if err != nil && !errors.Is(err, provider.ErrNotFound) {
			return err
		}
	}
	if len(six) == 0 {
		return nil
	}
	_, err := call(ctx, p, apiUnassign6, p.api.UnassignIpv6Addresses, &ec2.UnassignIpv6AddressesInput{
		NetworkInterfaceId: aws.String(f.id), Ipv6Addresses: texts(six),
	})
	if errors.Is(err, provider.ErrNotFound) {
		return nil
	}
	return err
}

func fours(addrs []netip.Addr) []netip.Addr { return only(addrs, netip.Addr.Is4) }
func sixes(addrs []netip.Addr) []netip.Addr { return only(addrs, netip.Addr.Is6) }

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
