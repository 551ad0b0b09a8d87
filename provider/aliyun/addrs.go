package aliyun

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
)

// Of an address that somebody has, it is asked a few times who: what has just been given
// may not show yet.
const (
	askWhose   = 3
	askedAfter = time.Second
)

// Assign implements eni.Cloud. ECS refuses what is assigned, also where it is on that
// interface: so it is asked whose it is.
func (c *cloud) Assign(ctx context.Context, to eni.Interface, addrs []netip.Addr) error {
	err := c.give(ctx, to, addrs)
	for n := 0; n < askWhose && errors.Is(err, provider.ErrElsewhere); n++ {
		has, lookErr := c.having(ctx, to.Subnet, addrs)
		if lookErr != nil {
			return lookErr
		}
		left := slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return has[a] == to.ID })
		switch {
		case len(left) == 0:
			return nil
		case slices.ContainsFunc(left, func(a netip.Addr) bool { return has[a] != "" }):
			return err
		case len(left) < len(addrs):
			addrs = left
			err = c.give(ctx, to, addrs)
		default: // nobody's, or not shown yet
			if ended := retry.Sleep(ctx, askedAfter); ended != nil {
				return provider.NoAnswer(ended)
			}
		}
	}
	return err
}

// having says which interfaces of a vSwitch have which of the addresses.
func (c *cloud) having(ctx context.Context, vSwitch string, addrs []netip.Addr) (map[netip.Addr]string, error) {
	has := map[netip.Addr]string{}
	for _, is := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
		for some := range slices.Chunk(only(addrs, is), maxIDs) {
			if err := c.pace.Take(ctx, apiDescribeInterfaces); err != nil {
				return nil, err
			}
			all, err := c.interfaces(ctx, func(r *ecs.DescribeNetworkInterfacesRequest) {
				r.VSwitchId = vSwitch
				if some[0].Is4() {
					r.PrivateIpAddress = texts(some)
				} else {
					r.Ipv6Address = texts(some)
				}
			})
			if err != nil {
				return nil, err
			}
			for _, f := range all {
				for _, a := range f.Addrs {
					has[a] = f.ID
				}
			}
		}
	}
	return has, nil
}

// give assigns addresses. The token has several attempts be one call.
func (c *cloud) give(ctx context.Context, f eni.Interface, addrs []netip.Addr) error {
	if four := only(addrs, netip.Addr.Is4); len(four) > 0 {
		token := fresh()
		err := do(ctx, c, apiAssign4, func() *ecs.AssignPrivateIpAddressesRequest {
			r := ecs.CreateAssignPrivateIpAddressesRequest()
			r.NetworkInterfaceId, r.PrivateIpAddress, r.ClientToken = f.ID, texts(four), token
			return r
		}, ecs.CreateAssignPrivateIpAddressesResponse)
		if err != nil {
			return err
		}
	}
	six := only(addrs, netip.Addr.Is6)
	if len(six) == 0 {
		return nil
	}
	token := fresh()
	return do(ctx, c, apiAssign6, func() *ecs.AssignIpv6AddressesRequest {
		r := ecs.CreateAssignIpv6AddressesRequest()
		r.NetworkInterfaceId, r.Ipv6Address, r.ClientToken = f.ID, texts(six), token
		return r
	}, ecs.CreateAssignIpv6AddressesResponse)
}

// Unassign implements eni.Cloud. That an address is not assigned is what ECS says of a
// primary one too.
func (c *cloud) Unassign(ctx context.Context, from eni.Interface, addrs []netip.Addr) error {
	if len(from.Addrs) > 0 && slices.Contains(addrs, from.Addrs[0]) {
		return &provider.Error{
			Kind: provider.ErrInvalid, Scope: provider.ScopeAddress,
			Err: errors.New("the address that an interface was made with, " + from.Addrs[0].String() + ", stays with it"),
		}
	}
	for _, some := range [][]netip.Addr{only(addrs, netip.Addr.Is4), only(addrs, netip.Addr.Is6)} {
		err := c.take(ctx, from, some)
		if errors.Is(err, provider.ErrNotFound) && len(some) > 1 { // one of them: the others are there still
			for _, a := range some {
				if err = c.take(ctx, from, []netip.Addr{a}); err != nil && !errors.Is(err, provider.ErrNotFound) {
					return err
				}
			}
		}
		if err != nil && !errors.Is(err, provider.ErrNotFound) {
			return err
		}
	}
	return nil
}

// take unassigns addresses of one family, all or none.
func (c *cloud) take(ctx context.Context, f eni.Interface, addrs []netip.Addr) error {
	switch {
	case len(addrs) == 0:
		return nil
	case addrs[0].Is4():
		return do(ctx, c, apiUnassign4, func() *ecs.UnassignPrivateIpAddressesRequest {
			r := ecs.CreateUnassignPrivateIpAddressesRequest()
			r.NetworkInterfaceId, r.PrivateIpAddress = f.ID, texts(addrs)
			return r
		}, ecs.CreateUnassignPrivateIpAddressesResponse)
	}
	return do(ctx, c, apiUnassign6, func() *ecs.UnassignIpv6AddressesRequest {
		r := ecs.CreateUnassignIpv6AddressesRequest()
		r.NetworkInterfaceId, r.Ipv6Address = f.ID, texts(addrs)
		return r
	}, ecs.CreateUnassignIpv6AddressesResponse)
}

// Move implements eni.Cloud. ECS has no call that moves an address: for a moment nobody
// has it, and what fails from then on has half been done.
func (c *cloud) Move(ctx context.Context, addrs []netip.Addr, from, to eni.Interface) error {
	if from.ID == "" {
		return c.Assign(ctx, to, addrs)
	}
	if err := c.Unassign(ctx, from, addrs); err != nil {
		return err
	}
	err := c.Assign(ctx, to, addrs)
	if err == nil || errors.Is(err, provider.ErrUnknown) || errors.Is(err, provider.ErrBusy) {
		return err
	}
	half := provider.Error{Scope: provider.ScopeAddress, Err: err}
	if said, ok := errors.AsType[*provider.Error](err); ok {
		half = *said
	}
	half.Kind, half.RetryAfter = provider.ErrBusy, max(half.RetryAfter, askedAfter)
	return &half
}
