package cloudsim

import (
	"context"
	"net/netip"
)

// An Address is a public one (EIP), of the account until it is released.
type Address struct {
	Allocation string
	Public     netip.Addr
	// Association is empty, and so are the others, where it is on nothing.
	Association               string
	Interface, InterfaceOwner string
	Instance                  string
	Private                   netip.Addr
	Tags                      Tags
}

// AllocateAddress gives the account a public address.
func (c *Cloud) AllocateAddress(ctx context.Context, call Call, tags Tags) (Address, error) {
	return Address{}, errNotBuilt
}

// An AssociateAddress puts a public address on a private one.
type AssociateAddress struct {
	Allocation string // required
	// Interface or Instance: the latter must have exactly one interface.
	Interface, Instance string
	// Private defaults to the primary one.
	Private netip.Addr
	// AllowReassociation is nil where it is not said, which is true.
	AllowReassociation *bool
}

// AssociateAddress returns the association's id.
func (c *Cloud) AssociateAddress(ctx context.Context, call Call, r AssociateAddress) (string, error) {
	return "", errNotBuilt
}

// DisassociateAddress takes the public address of an association off.
func (c *Cloud) DisassociateAddress(ctx context.Context, call Call, association string) error {
	return errNotBuilt
}

// ReleaseAddress gives a public address back that is on nothing.
func (c *Cloud) ReleaseAddress(ctx context.Context, call Call, allocation string) error {
	return errNotBuilt
}

// DescribeAddresses lists public addresses; IDs are allocations. Filters:
// allocation-id, association-id, public-ip, network-interface-id, instance-id,
// private-ip-address, domain, tag:<key>, tag-key.
func (c *Cloud) DescribeAddresses(ctx context.Context, call Call, d Describe) (Page[Address], error) {
	return Page[Address]{}, errNotBuilt
}
