package ec2

import (
	"context"
	"net/netip"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

func runAssign(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *assignPrivateIPAddresses) (answer, error) {
	got, err := c.AssignIPv4(ctx, call, cloudsim.AssignIPv4{
		Interface: r.InterfaceID, Addrs: r.Addresses, Count: r.Count, Prefixes: r.Prefixes, PrefixCount: r.PrefixCount,
		AllowReassignment: r.AllowReassignment,
	})
	return &assignedAnswer{
		ID:       got.Interface,
		Addrs:    each(got.Addrs, func(a netip.Addr) assignedIP { return assignedIP{text(a)} }),
		Prefixes: prefix4Items(got.Prefixes),
	}, err
}

func runUnassign(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *unassignPrivateIPAddresses) (answer, error) {
	err := c.UnassignIPv4(ctx, call, cloudsim.UnassignIPv4{Interface: r.InterfaceID, Addrs: r.Addresses, Prefixes: r.Prefixes})
	return &done{Return: true}, err
}

func runAssignIPv6(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *assignIPv6Addresses) (answer, error) {
	got, err := c.AssignIPv6(ctx, call, cloudsim.AssignIPv6{
		Interface: r.InterfaceID, Addrs: r.Addresses, Count: r.Count, Prefixes: r.Prefixes, PrefixCount: r.PrefixCount,
	})
	return &assignedIPv6Answer{ID: got.Interface, Addrs: each(got.Addrs, text), Prefixes: each(got.Prefixes, netip.Prefix.String)}, err
}

func runUnassignIPv6(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *unassignIPv6Addresses) (answer, error) {
	got, err := c.UnassignIPv6(ctx, call, cloudsim.UnassignIPv6{Interface: r.InterfaceID, Addrs: r.Addresses, Prefixes: r.Prefixes})
	return &unassignedIPv6Answer{ID: got.Interface, Addrs: each(got.Addrs, text), Prefixes: each(got.Prefixes, netip.Prefix.String)}, err
}

func runAllocate(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *allocateAddress) (answer, error) {
	if r.Domain != "" && r.Domain != "vpc" {
		return nil, refuse(badValue, r.Domain, "Domain").asError()
	}
	tags, no := tagsOf("elastic-ip", r.TagSpecs)
	if no != nil {
		return nil, no.asError()
	}
	a, err := c.AllocateAddress(ctx, call, cloudsim.NewAddress{Tags: tags})
	return &allocateAnswer{AllocationID: a.Allocation, PublicIP: text(a.Public), Domain: "vpc", Border: c.Region(), Pool: "amazon"}, err
}

func runAssociate(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *associateAddress) (answer, error) {
	id, err := c.AssociateAddress(ctx, call, cloudsim.AssociateAddress{
		Allocation: r.AllocationID, Interface: r.InterfaceID, Instance: r.InstanceID, Private: r.PrivateIP,
		AllowReassociation: r.AllowReassociation,
	})
	return &associateAnswer{done: done{Return: true}, AssociationID: id}, err
}

func runDisassociate(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *disassociateAddress) (answer, error) {
	return &done{Return: true}, c.DisassociateAddress(ctx, call, r.AssociationID)
}

func runRelease(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *releaseAddress) (answer, error) {
	return &done{Return: true}, c.ReleaseAddress(ctx, call, r.AllocationID)
}

func runDescribeAddresses(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeAddresses) (answer, error) {
	filters := named(r.Filters, "public-ip", r.PublicIPs)
	page, err := c.DescribeAddresses(ctx, call, pageAsked{}.describe(r.AllocationIDs, filters))
	return &addressesAnswer{Addresses: each(page.Items, func(a cloudsim.Address) addressItem {
		return addressItem{
			AllocationID: a.Allocation, PublicIP: text(a.Public), Domain: "vpc", AssociationID: a.Association,
			InterfaceID: a.Interface, InterfaceOwner: a.InterfaceOwner, InstanceID: a.Instance, PrivateIP: text(a.Private),
			Border: c.Region(), Pool: "amazon", Tags: tagItems(a.Tags),
		}
	})}, err
}

// named adds what a request names by something else than its id to the filters.
func named(filters []filter, name string, values []string) []filter {
	if len(values) == 0 {
		return filters
	}
	return append(filters, filter{Name: name, Values: values})
}
