package ecs

import (
	"context"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

func runAssign(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *assignAddresses) (answer, error) {
	if err := checkCounts(r.Count, r.PrefixCount, len(r.Addrs), len(r.Prefixes)); err != nil {
		return nil, err
	}
	got, err := c.AssignIPv4(ctx, call, cloudsim.AssignIPv4{
		Interface: r.InterfaceID, Addrs: r.Addrs, Count: number(r.Count), Prefixes: r.Prefixes, PrefixCount: number(r.PrefixCount), Token: r.Token,
	})
	a := &assignedAnswer{}
	a.Set.ID, a.Set.Addrs.List, a.Set.Prefixes.List = got.Interface, each(got.Addrs, text), each(got.Prefixes, netip.Prefix.String)
	return a, err
}

func runUnassign(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *unassignAddresses) (answer, error) {
	return &done{}, c.UnassignIPv4(ctx, call, cloudsim.UnassignIPv4{Interface: r.InterfaceID, Addrs: r.Addrs, Prefixes: r.Prefixes})
}

func runAssignIPv6(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *assignIPv6) (answer, error) {
	if err := checkCounts6(r.Count, r.PrefixCount, len(r.Addrs), len(r.Prefixes)); err != nil {
		return nil, err
	}
	got, err := c.AssignIPv6(ctx, call, cloudsim.AssignIPv6{
		Interface: r.InterfaceID, Addrs: r.Addrs, Count: number(r.Count), Prefixes: r.Prefixes, PrefixCount: number(r.PrefixCount), Token: r.Token,
	})
	a := &assignedIPv6Answer{ID: got.Interface}
	a.Addrs.List, a.Prefixes.List = each(got.Addrs, text), each(got.Prefixes, netip.Prefix.String)
	return a, err
}

func runUnassignIPv6(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *unassignIPv6) (answer, error) {
	_, err := c.UnassignIPv6(ctx, call, cloudsim.UnassignIPv6{Interface: r.InterfaceID, Addrs: r.Addrs, Prefixes: r.Prefixes})
	return &done{}, err
}

func runAllocate(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *allocateAddress) (answer, error) {
	a, err := c.AllocateAddress(ctx, call, cloudsim.NewAddress{Token: r.Token, Name: r.Name})
	return &allocateAnswer{Allocation: a.Allocation, Public: text(a.Public)}, err
}

// runAssociate binds a public address: in NAT mode, as an interface may have one on each
// of its private addresses.
func runAssociate(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *bindAddress) (answer, error) {
	keep := false
	bind := cloudsim.AssociateAddress{Allocation: r.Allocation, Private: r.Private, AllowReassociation: &keep, First: true, Token: r.Token}
	switch r.InstanceType {
	case "NetworkInterface":
		bind.Interface = r.InstanceID
	case "", "EcsInstance":
		bind.Instance = r.InstanceID
	case "HaVip":
		bind.HaVip = r.InstanceID
	default: // Nat, SlbInstance and others that are not here
		return nil, refuse(badTarget)
	}
	switch {
	case r.InstanceID == "":
		return nil, refuse(missing, "InstanceId")
	case r.Mode != "" && r.Mode != "NAT":
		return nil, refuse(badValue, "Mode")
	}
	_, err := c.AssociateAddress(ctx, call, bind)
	return &done{}, err
}

func runUnassociate(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *unbindAddress) (answer, error) {
	if !slices.Contains([]string{"", "EcsInstance", "NetworkInterface", "HaVip"}, r.InstanceType) {
		return nil, refuse(badTarget)
	}
	return &done{}, c.UnbindAddress(ctx, call, cloudsim.UnbindAddress{Allocation: r.Allocation, From: r.InstanceID, Private: r.Private, Token: r.Token})
}

func runRelease(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *releaseAddress) (answer, error) {
	return &done{}, c.ReleaseAddress(ctx, call, r.Allocation)
}

func runAddresses(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeAddresses) (answer, error) {
	var f filters
	f.by("allocation-id", commas(r.Allocation)...)
	f.by("public-ip", commas(r.Public)...)
	f.tagged(r.Tags)
	page, err := c.DescribeAddresses(ctx, call, cloudsim.Describe{Filters: f})
	if err != nil {
		return nil, err
	}
	var all []addressItem
	for _, a := range page.Items {
		item := addressOf(c, a)
		if (r.Instance == "" || item.Instance == r.Instance) && (r.Kind == "" || item.Kind == r.Kind) && (r.Status == "" || item.Status == r.Status) &&
			(r.Name == "" || item.Name == r.Name) {
			all = append(all, item)
		}
	}
	got := &addressesAnswer{}
	got.Addresses.List, got.numberedPage, err = cut(r.numbered, mostNumbered, all)
	return got, err
}

func addressOf(c *cloudsim.Cloud, a cloudsim.Address) addressItem {
	item := addressItem{Allocation: a.Allocation, Public: text(a.Public), Name: a.Name, Status: "Available", Mode: "NAT", Region: c.Region()}
	switch {
	case a.HaVip != "":
		item.Instance, item.Kind = a.HaVip, "HaVip"
	case a.OfInstance:
		item.Instance, item.Kind = a.Instance, "EcsInstance"
	case a.Interface != "":
		item.Instance, item.Kind = a.Interface, "NetworkInterface"
	}
	if item.Kind != "" {
		item.Status, item.Private = "InUse", text(a.Private)
	}
	switch a.Between {
	case cloudsim.Binding:
		item.Status = "Associating"
	case cloudsim.Unbinding:
		item.Status = "Unassociating"
	}
	return item
}
