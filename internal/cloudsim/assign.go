package cloudsim

import (
	"context"
	"net/netip"
)

// An AssignIPv4 gives an interface further addresses or prefixes, in one of the
// four ways.
type AssignIPv4 struct {
	Interface   string // required
	Addrs       []netip.Addr
	Count       int
	Prefixes    []netip.Prefix
	PrefixCount int
	// AllowReassignment takes Addrs from interfaces that have them as secondary ones.
	AllowReassignment bool
}

// An AssignedIPv4 is what was asked for and is there now.
type AssignedIPv4 struct {
	Interface string
	Addrs     []netip.Addr
	Prefixes  []netip.Prefix
}

// AssignIPv4 is AssignPrivateIpAddresses: all or nothing.
func (c *Cloud) AssignIPv4(ctx context.Context, call Call, r AssignIPv4) (AssignedIPv4, error) {
	return AssignedIPv4{}, errNotBuilt
}

// An UnassignIPv4 takes addresses and prefixes from an interface.
type UnassignIPv4 struct {
	Interface string // required
	Addrs     []netip.Addr
	Prefixes  []netip.Prefix
}

// UnassignIPv4 is UnassignPrivateIpAddresses: all or nothing. The primary
// address cannot go, and public ones on the others are disassociated.
func (c *Cloud) UnassignIPv4(ctx context.Context, call Call, r UnassignIPv4) error {
	return errNotBuilt
}

// An AssignIPv6 gives an interface IPv6 addresses or prefixes.
type AssignIPv6 struct {
	Interface   string // required
	Addrs       []netip.Addr
	Count       int
	Prefixes    []netip.Prefix
	PrefixCount int
}

// An UnassignIPv6 takes IPv6 addresses and prefixes from an interface.
type UnassignIPv6 struct {
	Interface string // required
	Addrs     []netip.Addr
	Prefixes  []netip.Prefix
}

// A ChangedIPv6 is only what is newly assigned or unassigned.
type ChangedIPv6 struct {
	Interface string
	Addrs     []netip.Addr
	Prefixes  []netip.Prefix
}

// AssignIPv6 is AssignIpv6Addresses: all or nothing.
func (c *Cloud) AssignIPv6(ctx context.Context, call Call, r AssignIPv6) (ChangedIPv6, error) {
	return ChangedIPv6{}, errNotBuilt
}

// UnassignIPv6 is UnassignIpv6Addresses.
func (c *Cloud) UnassignIPv6(ctx context.Context, call Call, r UnassignIPv6) (ChangedIPv6, error) {
	return ChangedIPv6{}, errNotBuilt
}
