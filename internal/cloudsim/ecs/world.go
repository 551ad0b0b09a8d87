package ecs

import (
	"context"
	"strings"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// machineStates are the words of the two clouds for an instance's state.
var machineStates = map[cloudsim.InstanceState]string{
	cloudsim.InstancePending: "Starting", cloudsim.InstanceRunning: "Running", cloudsim.InstanceStopping: "Stopping",
	cloudsim.InstanceStopped: "Stopped", cloudsim.InstanceShutting: "Stopping", cloudsim.InstanceTerminated: "Stopped",
}

// statesOf are the states that a status is; all but those of what is released for none.
func statesOf(status string) []string {
	switch status {
	case "":
		return []string{"pending", "running", "stopping", "stopped"}
	case "Starting":
		return []string{string(cloudsim.InstancePending)}
	case "Running":
		return []string{string(cloudsim.InstanceRunning)}
	case "Stopping":
		return []string{string(cloudsim.InstanceStopping)}
	case "Stopped":
		return []string{string(cloudsim.InstanceStopped)}
	default:
		return []string{"none has " + status}
	}
}

// runInstances lists instances. One that is not there, or is released, is no error.
func runInstances(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeInstances) (answer, error) {
	var f filters
	f.by("instance-id", r.IDs...)
	f.by("vpc-id", r.VPCID)
	f.by("subnet-id", r.VSwitchID)
	f.by("availability-zone", r.ZoneID)
	f.by("instance-type", r.Type)
	f.by("tag:Name", r.Name)
	f.by("instance-state-name", statesOf(r.Status)...)
	f.tagged(r.Tags)
	d, err := r.describe(f)
	if err != nil {
		return nil, err
	}
	page, err := c.DescribeInstances(ctx, call, d)
	if err != nil {
		return nil, err
	}
	all := each(page.Items, func(i cloudsim.Instance) instanceItem { return instanceOf(c, i) })
	got := &instancesAnswer{NextToken: page.NextToken}
	if got.Instances.List = all; !r.wanted() {
		got.Instances.List, got.numberedPage, err = cut(r.numbered, mostNumbered, all)
	}
	return got, err
}

func instanceOf(c *cloudsim.Cloud, i cloudsim.Instance) instanceItem {
	item := instanceItem{
		ID: i.ID, Name: i.Tags["Name"], Type: i.Type, Status: machineStates[i.State], Region: c.Region(), Zone: i.Zone,
		VPC: vpcAttributes{VPC: i.VPC, VSwitch: i.Subnet}, Created: at(i.Launched), Tags: tagItems(i.Tags),
		Groups: idSet{each(i.Groups, func(g cloudsim.Group) string { return g.ID })},
		Interfaces: cardsOfMachine{each(i.Interfaces, func(e cloudsim.Interface) cardOfMachine {
			return cardOfMachine{ID: e.ID, MAC: e.MAC.String(), Primary: text(e.Primary()), Type: kind(e), Addrs: addrsOf(e)}
		})},
	}
	item.VPC.Private.Addrs = []string{text(i.Private)}
	return item
}

func runTypes(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeTypes) (answer, error) {
	var f filters
	if len(r.Types) > mostTypes {
		return nil, refuse(badValue, "InstanceTypes")
	}
	f.by("instance-type", r.Types...)
	if r.MaxResults == 0 && r.NextToken == "" {
		r.MaxResults = mostNumbered // without paging some are missing [T]
	}
	d, err := r.describe(f)
	if err != nil || d.MaxResults > mostNumbered {
		return nil, refuse(badValue, "MaxResults")
	}
	page, err := c.DescribeInstanceTypes(ctx, call, d)
	got := &typesAnswer{NextToken: page.NextToken}
	got.Types.List = each(page.Items, func(t cloudsim.InstanceType) typeItem {
		item := typeItem{
			Name: t.Name, Family: t.Name[:max(strings.LastIndexByte(t.Name, '.'), 0)], ENIs: t.MaxInterfaces, TotalENIs: t.MaxInterfaces + t.Members, Trunk: t.Members > 0,
			IPv4: t.IPv4PerInterface, IPv6: t.IPv6PerInterface, Cards: len(t.Cards),
		}
		for n := range t.Cards {
			item.CardList.List = append(item.CardList.List, cardItem{n})
		}
		return item
	})
	return got, err
}

func runGroups(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeGroups) (answer, error) {
	var f filters
	f.by("group-id", append([]string{r.ID}, r.IDs...)...)
	f.by("group-name", r.Name)
	f.by("vpc-id", r.VPCID)
	f.tagged(r.Tags)
	d, err := r.describe(f)
	if err != nil {
		return nil, err
	}
	page, err := c.DescribeSecurityGroups(ctx, call, d)
	if err != nil {
		return nil, err
	}
	got := &groupsAnswer{Region: c.Region(), NextToken: page.NextToken}
	got.Groups.List = each(page.Items, func(g cloudsim.SecurityGroup) groupItem {
		return groupItem{ID: g.ID, Name: g.Name, Description: g.Description, VPC: g.VPC, Type: "normal"}
	})
	if !r.wanted() {
		got.Groups.List, got.numberedPage, err = cut(r.numbered, mostNumbered, got.Groups.List)
	}
	return got, err
}

func runVPCs(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeVPCs) (answer, error) {
	var f filters
	f.by("vpc-id", commas(r.ID)...)
	f.tagged(r.Tags)
	page, err := c.DescribeVPCs(ctx, call, cloudsim.Describe{Filters: f})
	if err != nil {
		return nil, err
	}
	got := &vpcsAnswer{}
	got.VPCs.List, got.numberedPage, err = cut(r.numbered, mostOfVPC, each(page.Items, func(v cloudsim.VPC) vpcItem {
		item := vpcItem{ID: v.ID, Status: "Available", Region: c.Region(), CIDR: v.CIDR.String()}
		if v.CIDR6.IsValid() {
			item.CIDR6 = v.CIDR6.String()
		}
		return item
	}))
	return got, err
}

func runVSwitches(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeVSwitches) (answer, error) {
	var f filters
	f.by("subnet-id", commas(r.ID)...)
	f.by("vpc-id", r.VPCID)
	f.by("availability-zone", r.ZoneID)
	f.tagged(r.Tags)
	page, err := c.DescribeSubnets(ctx, call, cloudsim.Describe{Filters: f})
	if err != nil {
		return nil, err
	}
	got := &vSwitchesAnswer{}
	got.VSwitches.List, got.numberedPage, err = cut(r.numbered, mostOfVPC, each(page.Items, func(s cloudsim.Subnet) vSwitchItem {
		item := vSwitchItem{ID: s.ID, VPC: s.VPC, Zone: s.Zone, Status: "Available", CIDR: s.CIDR.String(), Free: s.Free}
		if s.CIDR6.IsValid() {
			item.CIDR6, item.IPv6 = s.CIDR6.String(), true
		}
		return item
	}))
	return got, err
}
