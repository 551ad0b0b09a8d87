package cloudsim

import "context"

// An InstanceType is what instances can hold.
type InstanceType struct {
	Name string
	// MaxInterfaces is over all cards.
	MaxInterfaces int
	// IPv4PerInterface counts the primary one, and a prefix as one.
	IPv4PerInterface, IPv6PerInterface int
	// Cards are how many interfaces each network card can hold.
	Cards      []int
	Hypervisor string // nitro or xen; empty for bare metal
	BareMetal  bool
	// Source is where the numbers are from.
	Source string
}

// InstanceTypes is the table of types, with its sources.
func InstanceTypes() []InstanceType { return nil }

// DescribeInstanceTypes lists types; IDs are their names. Filters:
// instance-type, hypervisor, bare-metal.
func (c *Cloud) DescribeInstanceTypes(ctx context.Context, call Call, d Describe) (Page[InstanceType], error) {
	return Page[InstanceType]{}, errNotBuilt
}
