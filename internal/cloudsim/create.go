package cloudsim

import (
	"context"
	"net/netip"
)

// A CreateInterface makes an interface. Addresses IPv4, IPv4Count, IPv4Prefixes
// and IPv4PrefixCount exclude each other, and so do those of IPv6.
type CreateInterface struct {
	Subnet string // required
	// Token makes the call idempotent; empty is not.
	Token       string
	Description string
	// Groups default to the VPC's default group.
	Groups []string
	// Primary is the primary address; drawn where it is zero. It may also stand
	// in IPv4 with its mark.
	Primary netip.Addr
	IPv4    []WantedIP
	// The counts are of secondary ones. IPv6Count is nil where nothing is said,
	// which leaves it to the subnet.
	IPv4Count       int
	IPv4Prefixes    []netip.Prefix
	IPv4PrefixCount int
	IPv6            []netip.Addr
	IPv6Count       *int
	IPv6Prefixes    []netip.Prefix
	IPv6PrefixCount int
	// Kind is empty for interface.
	Kind string
	Tags Tags
}

// A WantedIP is an address to be given.
type WantedIP struct {
	Addr    netip.Addr
	Primary bool
}

// CreateInterface makes an interface. It is pending, and becomes available by itself.
func (c *Cloud) CreateInterface(ctx context.Context, call Call, r CreateInterface) (Interface, error) {
	return Interface{}, errNotBuilt
}

// DeleteInterface deletes an interface that is not attached.
func (c *Cloud) DeleteInterface(ctx context.Context, call Call, id string) error { return errNotBuilt }

// DescribeInterfaces lists interfaces. Filters are those of
// DescribeNetworkInterfaces.
func (c *Cloud) DescribeInterfaces(ctx context.Context, call Call, d Describe) (Page[Interface], error) {
	return Page[Interface]{}, errNotBuilt
}
