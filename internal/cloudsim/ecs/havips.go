package ecs

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// haVipStates are the words of the two for a floating address's state.
var haVipStates = map[cloudsim.HaVipStatus]string{
	cloudsim.HaVipCreating: "Creating", cloudsim.HaVipAvailable: "Available", cloudsim.HaVipBinding: "Associating",
	cloudsim.HaVipInUse: "InUse", cloudsim.HaVipUnbinding: "Unassociating", cloudsim.HaVipDeleting: "Deleting",
}

// haVipKeys are what listings can be filtered by.
var haVipKeys = map[string]string{
	"HaVipId": "havip-id", "VpcId": "vpc-id", "VSwitchId": "subnet-id", "Status": "status", "HaVipAddress": "address",
}

func runCreateHaVip(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *createHaVip) (answer, error) {
	tags, err := tagsOf(r.Tags)
	if err != nil {
		return nil, err
	}
	v, err := c.CreateHaVip(ctx, call, cloudsim.NewHaVip{
		Subnet: r.VSwitchID, Addr: r.Addr, Name: r.Name, Description: r.Description, Tags: tags, Token: r.Token,
	})
	return &haVipAnswer{ID: v.ID, Addr: text(v.Addr)}, err
}

func runDeleteHaVip(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *deleteHaVip) (answer, error) {
	return &done{}, c.DeleteHaVip(ctx, call, r.ID, r.Token)
}

// member is what a call about a member names.
func (r *bindHaVip) member() (cloudsim.HaVipMember, error) {
	m := cloudsim.HaVipMember{HaVip: r.ID, Token: r.Token}
	switch r.InstanceType {
	case "", "EcsInstance":
		m.Instance = r.InstanceID
	case "NetworkInterface":
		m.Interface = r.InstanceID
	default:
		return m, refuse(badTarget)
	}
	return m, nil
}

func runAssociateHaVip(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *bindHaVip) (answer, error) {
	m, err := r.member()
	if err != nil {
		return nil, err
	}
	return &done{}, c.AssociateHaVip(ctx, call, m)
}

func runUnassociateHaVip(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *unbindHaVip) (answer, error) {
	m, err := r.member()
	if err != nil {
		return nil, err
	}
	return &done{}, c.UnassociateHaVip(ctx, call, m)
}

// runHaVips lists floating addresses. One that is not there is no error.
func runHaVips(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeHaVips) (answer, error) {
	var f filters
	for _, asked := range r.Filters {
		name, known := haVipKeys[asked.Key]
		if !known {
			return nil, refuse(badFilter)
		}
		if name == "status" {
			asked.Values = slices.Collect(statesCalled(asked.Values))
		}
		f.by(name, asked.Values...)
	}
	f.tagged(r.Tags)
	page, err := c.DescribeHaVips(ctx, call, cloudsim.Describe{Filters: f})
	if err != nil {
		return nil, err
	}
	got := &haVipsAnswer{}
	got.HaVips.List, got.numberedPage, err = cut(r.numbered, mostOfVPC, each(page.Items, func(v cloudsim.HaVip) haVipItem { return haVipOf(c, v) }))
	return got, err
}

// statesCalled are the states of those names; a name that none has is none's.
func statesCalled(names []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, name := range names {
			state := "?" + name
			for s, word := range haVipStates {
				if word == name {
					state = string(s)
				}
			}
			if !yield(state) {
				return
			}
		}
	}
}

func haVipOf(c *cloudsim.Cloud, v cloudsim.HaVip) haVipItem {
	item := haVipItem{
		ID: v.ID, Name: v.Name, Description: v.Description, Status: haVipStates[v.Status], Region: c.Region(), VPC: v.VPC,
		VSwitch: v.Subnet, Addr: text(v.Addr), Created: at(v.Created), Master: v.Master,
	}
	if item.Members.IDs = append([]string{}, v.Members...); len(v.Members) > 0 {
		if item.Kind = "EcsInstance"; v.OfInterfaces {
			item.Kind = "NetworkInterface"
		}
	}
	item.Public.Addrs = each(v.Public, netip.Addr.String)
	item.Tags.List = each(slices.Sorted(maps.Keys(v.Tags)), func(key string) haVipTag { return haVipTag{key, v.Tags[key]} })
	return item
}
