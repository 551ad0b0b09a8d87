package ec2

import (
	"context"
	"slices"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

func runDescribeSubnets(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeSubnets) (answer, error) {
	page, err := c.DescribeSubnets(ctx, call, r.describe(r.IDs, r.Filters))
	return &subnetsAnswer{more: more{page.NextToken}, Subnets: each(page.Items, func(s cloudsim.Subnet) subnetItem {
		item := subnetItem{
			ID: s.ID, ARN: "arn:aws:ec2:" + c.Region() + ":" + s.Owner + ":subnet/" + s.ID, State: "available", Owner: s.Owner,
			VPC: s.VPC, CIDR: s.CIDR.String(), Free: s.Free, Zone: s.Zone, ZoneID: s.ZoneID,
			MapPublicIP: s.MapPublicIP, AssignIPv6: s.AssignIPv6, Tags: tagItems(s.Tags),
		}
		if s.CIDR6.IsValid() {
			item.CIDR6 = []subnetCIDR6{{"subnet-cidr-assoc-" + s.ID, s.CIDR6.String(), cidr6State{"associated"}}}
		}
		return item
	})}, err
}

func runDescribeGroups(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeSecurityGroups) (answer, error) {
	page, err := c.DescribeSecurityGroups(ctx, call, r.describe(r.IDs, named(r.Filters, "group-name", r.Names)))
	return &groupsAnswer{more: more{page.NextToken}, Groups: each(page.Items, func(g cloudsim.SecurityGroup) securityGroupItem {
		return securityGroupItem{Owner: g.Owner, ID: g.ID, Name: g.Name, Description: g.Description, VPC: g.VPC, Tags: tagItems(g.Tags)}
	})}, err
}

func runDescribeVPCs(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeVPCs) (answer, error) {
	page, err := c.DescribeVPCs(ctx, call, r.describe(r.IDs, r.Filters))
	return &vpcsAnswer{more: more{page.NextToken}, VPCs: each(page.Items, func(v cloudsim.VPC) vpcItem {
		item := vpcItem{
			ID: v.ID, Owner: c.Account(), State: "available", CIDR: v.CIDR.String(), Tenancy: "default",
			CIDRs: []vpcCIDR{{"vpc-cidr-assoc-" + v.ID, v.CIDR.String(), cidr6State{"associated"}}}, Tags: tagItems(v.Tags),
		}
		if v.CIDR6.IsValid() {
			item.CIDR6 = []subnetCIDR6{{"vpc-cidr6-assoc-" + v.ID, v.CIDR6.String(), cidr6State{"associated"}}}
		}
		return item
	})}, err
}

func runDescribeZones(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeAvailabilityZones) (answer, error) {
	page, err := c.DescribeZones(ctx, call, pageAsked{}.describe(r.Names, named(r.Filters, "zone-id", r.IDs)))
	return &zonesAnswer{Zones: each(page.Items, func(z cloudsim.Zone) zoneItem {
		return zoneItem{Name: z.Name, ID: z.ID, State: z.State, Region: z.Region, OptIn: "opt-in-not-required", Type: "availability-zone"}
	})}, err
}

func runDescribeTypes(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeInstanceTypes) (answer, error) {
	page, err := c.DescribeInstanceTypes(ctx, call, r.describe(r.Types, r.Filters))
	return &typesAnswer{more: more{page.NextToken}, Types: each(page.Items, func(t cloudsim.InstanceType) typeItem {
		item := typeItem{Name: t.Name, BareMetal: t.BareMetal, Hypervisor: t.Hypervisor, Network: networkInfo{
			MaxInterfaces: t.MaxInterfaces, MaxCards: len(t.Cards), IPv4s: t.IPv4PerInterface, IPv6s: t.IPv6PerInterface,
			IPv6: t.IPv6PerInterface > 0, ENA: "supported",
		}}
		if t.Hypervisor == "nitro" || t.BareMetal {
			item.Network.ENA = "required"
		}
		for i, holds := range t.Cards {
			item.Network.Cards = append(item.Network.Cards, networkCardItem{i, holds})
		}
		return item
	})}, err
}

func runDescribeInstances(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeInstances) (answer, error) {
	page, err := c.DescribeInstances(ctx, call, r.describe(r.IDs, r.Filters))
	return &instancesAnswer{more: more{page.NextToken}, Reservations: reservations(page.Items)}, err
}

// reservations groups instances by the call that made them.
func reservations(instances []cloudsim.Instance) []reservationItem {
	var all []reservationItem
	for _, i := range instances {
		n := slices.IndexFunc(all, func(r reservationItem) bool { return r.ID == i.Reservation })
		if n < 0 {
			n = len(all)
			all = append(all, reservationItem{ID: i.Reservation, Owner: i.Owner})
		}
		all[n].Instances = append(all[n].Instances, instanceOf(i))
	}
	return all
}

func instanceOf(i cloudsim.Instance) instanceItem {
	return instanceItem{
		ID: i.ID, Image: i.Image, State: stateOf(i.State), Type: i.Type, Launched: at(i.Launched),
		Placement: placementItem{i.Zone, "default"}, SubnetID: i.Subnet, VPC: i.VPC,
		PrivateIP: text(i.Private), PublicIP: text(i.Public), Groups: groupItems(i.Groups),
		Interfaces: each(i.Interfaces, inInstance), Tags: tagItems(i.Tags),
	}
}

// stateOf is a state with its number, which the vendor's documents name.
func stateOf(s cloudsim.InstanceState) stateItem {
	codes := map[cloudsim.InstanceState]int{
		cloudsim.InstancePending: 0, cloudsim.InstanceRunning: 16, cloudsim.InstanceShutting: 32,
		cloudsim.InstanceTerminated: 48, cloudsim.InstanceStopping: 64, cloudsim.InstanceStopped: 80,
	}
	return stateItem{codes[s], string(s)}
}

func runRunInstances(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *runInstances) (answer, error) {
	tags, no := tagsOf("instance", r.TagSpecs)
	if no != nil {
		return nil, no.asError()
	}
	run := cloudsim.RunInstances{Type: r.Type, Count: r.Max, Subnet: r.SubnetID, Groups: r.Groups, Image: r.Image, Token: r.Token, Tags: tags}
	slices.SortFunc(r.Plugged, func(a, b runPlugs) int { return a.DeviceIndex - b.DeviceIndex })
	for _, p := range r.Plugged {
		switch {
		case p.InterfaceID != "":
			run.Interfaces = append(run.Interfaces, p.InterfaceID)
		case p.DeviceIndex == 0 && len(r.Plugged) == 1:
			run.Subnet, run.Groups = p.SubnetID, p.Groups
		default:
			return nil, refuse(notHere, "RunInstances with several interfaces to be made").asError()
		}
	}
	made, err := c.RunInstances(ctx, call, run)
	if err != nil || len(made) == 0 {
		return nil, err
	}
	return &runAnswer{reservationItem: reservations(made)[0]}, nil
}

// change runs one of the calls that start, stop and end instances.
func change(do func(*cloudsim.Cloud, context.Context, cloudsim.Call, ...string) ([]cloudsim.StateChange, error)) func(context.Context, *cloudsim.Cloud, cloudsim.Call, *instancesNamed) (answer, error) {
	return func(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *instancesNamed) (answer, error) {
		changes, err := do(c, ctx, call, r.IDs...)
		return &changesAnswer{Changes: each(changes, func(s cloudsim.StateChange) changeItem {
			return changeItem{s.Instance, stateOf(s.After), stateOf(s.Before)}
		})}, err
	}
}
