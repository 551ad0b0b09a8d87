package aliyun

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/aliyun/acs"
	"github.com/nicferry/nicferry/provider/calls"
	"github.com/nicferry/nicferry/provider/eni"
)

// A cloud is ECS and VPC by the SDK. Of what they do not know, lists are shorter, and
// that is no error.
type cloud struct {
	ecs, vpc *acs.Caller
	cluster  string
	pace     *calls.Pace
	backoff  time.Duration
	// ours is how many interfaces the cluster had when they were last counted.
	ours atomic.Int64
}

// Interfaces implements eni.Cloud. A look can want an interface to have several tags, and
// not one of several: so it is one look for each NIC, or one at all that are the
// cluster's, whichever makes fewer calls.
func (c *cloud) Interfaces(ctx context.Context, nics []nic.ID) ([]eni.Interface, error) {
	if len(nics) == 0 || len(nics) > c.callsForAll() {
		all, err := c.all(ctx)
		if len(nics) > 0 {
			all = slices.DeleteFunc(all, func(f eni.Interface) bool { return !slices.Contains(nics, nic.ID(f.Tags[eni.TagNIC])) })
		}
		return all, err
	}
	var all []eni.Interface
	for i, id := range nics {
		if i > 0 {
			if err := c.pace.Take(ctx, apiDescribeInterfaces); err != nil {
				return nil, err
			}
		}
		got, err := c.tagged(ctx, map[string]string{eni.TagCluster: c.cluster, eni.TagNIC: string(id)})
		if err != nil {
			return nil, err
		}
		all = append(all, got...)
	}
	return all, nil
}

// callsForAll is about how many calls it takes to look at all of the cluster's.
func (c *cloud) callsForAll() int {
	n := int(c.ours.Load())
	if n >= maxTagged {
		return n/maxIDs + n/usualTags + 2
	}
	return 1 + n/maxPage
}

// all are the cluster's interfaces. Of those with a tag ECS shows some only, where there
// are more than maxTagged: those are asked for by their ids.
func (c *cloud) all(ctx context.Context) (all []eni.Interface, err error) {
	if c.ours.Load() < maxTagged {
		if all, err = c.tagged(ctx, map[string]string{eni.TagCluster: c.cluster}); err != nil {
			return nil, err
		}
		if c.ours.Store(int64(len(all))); len(all) < maxTagged {
			return all, nil
		}
	}
	ids, err := c.idsOfAll(ctx)
	if err != nil {
		return nil, err
	}
	all = nil
	for some := range slices.Chunk(ids, maxIDs) {
		if err := c.pace.Take(ctx, apiDescribeInterfaces); err != nil {
			return nil, err
		}
		got, err := c.interfaces(ctx, func(r *ecs.DescribeNetworkInterfacesRequest) { r.NetworkInterfaceId = &some })
		if err != nil {
			return nil, err
		}
		all = append(all, got...)
	}
	c.ours.Store(int64(len(all)))
	return all, nil
}

// idsOfAll are those of all interfaces with the cluster's tag.
func (c *cloud) idsOfAll(ctx context.Context) ([]string, error) {
	if err := c.pace.Take(ctx, apiListTags); err != nil {
		return nil, err
	}
	var ids []string
	err := c.pace.Pages(ctx, apiListTags, func(token string) (string, error) {
		got, err := send(ctx, c, apiListTags, func() *ecs.ListTagResourcesRequest {
			r := ecs.CreateListTagResourcesRequest()
			r.ResourceType, r.NextToken, r.Tag = resourceENI, token, &[]ecs.ListTagResourcesTag{{Key: eni.TagCluster, Value: c.cluster}}
			return r
		}, ecs.CreateListTagResourcesResponse)
		if err != nil {
			return "", err
		}
		for _, t := range got.TagResources.TagResource {
			ids = append(ids, t.ResourceId)
		}
		return got.NextToken, nil
	})
	slices.Sort(ids)
	return slices.Compact(ids), err // a resource comes once for each of its tags
}

// tagged are the interfaces that have all of these tags.
func (c *cloud) tagged(ctx context.Context, tags map[string]string) ([]eni.Interface, error) {
	return c.interfaces(ctx, func(r *ecs.DescribeNetworkInterfacesRequest) {
		r.Tag = list(tags, func(key, value string) ecs.DescribeNetworkInterfacesTag {
			return ecs.DescribeNetworkInterfacesTag{Key: key, Value: value}
		})
	})
}

// interfaces are those that a look shows, which is as narrow as narrow makes it. Its first
// call has had its turn.
func (c *cloud) interfaces(ctx context.Context, narrow func(*ecs.DescribeNetworkInterfacesRequest)) ([]eni.Interface, error) {
	var all []eni.Interface
	err := c.pace.Pages(ctx, apiDescribeInterfaces, func(token string) (string, error) {
		got, err := send(ctx, c, apiDescribeInterfaces, func() *ecs.DescribeNetworkInterfacesRequest {
			r := ecs.CreateDescribeNetworkInterfacesRequest()
			r.MaxResults, r.NextToken = requests.NewInteger(maxPage), token
			narrow(r)
			return r
		}, ecs.CreateDescribeNetworkInterfacesResponse)
		if err != nil {
			return "", err
		}
		for _, ni := range got.NetworkInterfaceSets.NetworkInterfaceSet {
			all = append(all, interfaceFrom(ni))
		}
		return got.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Instances implements eni.Cloud.
func (c *cloud) Instances(ctx context.Context, ids []nic.InstanceID) (map[nic.InstanceID]eni.Instance, error) {
	got := map[nic.InstanceID]eni.Instance{}
	err := c.pace.Pages(ctx, apiDescribeInstances, func(token string) (string, error) {
		out, err := send(ctx, c, apiDescribeInstances, func() *ecs.DescribeInstancesRequest {
			r := ecs.CreateDescribeInstancesRequest()
			r.InstanceIds, r.MaxResults, r.NextToken = jsonOf(ids), requests.NewInteger(maxIDs), token
			return r
		}, ecs.CreateDescribeInstancesResponse)
		if err != nil {
			return "", err
		}
		for _, i := range out.Instances.Instance {
			got[nic.InstanceID(i.InstanceId)] = instanceFrom(i)
		}
		return out.NextToken, nil
	})
	return got, err
}

// jsonOf is a list as some parameters want it.
func jsonOf[T ~string](list []T) string {
	text, _ := json.Marshal(list) // texts always can be
	return string(text)
}

// instanceFrom reads what ECS says. Members of a trunk take none of the instance's slots.
func instanceFrom(i ecs.Instance) eni.Instance {
	m := eni.Instance{Zone: i.ZoneId, Kind: i.InstanceType, Power: powerFrom(i.Status), Used: map[int]bool{}}
	for _, ni := range i.NetworkInterfaces.NetworkInterface {
		if ni.Type != typeMember {
			m.Used[len(m.Used)] = true
		}
	}
	return m
}

// powerFrom is an instance's status in our words. One that was released is not shown.
func powerFrom(status string) eni.Power {
	switch status {
	case "Pending", "Starting":
		return eni.Pending
	case "Running":
		return eni.Running
	case "Stopping":
		return eni.Stopping
	case "Stopped":
		return eni.Stopped
	}
	return eni.Power(status)
}

// Types implements eni.Cloud.
func (c *cloud) Types(ctx context.Context, kinds []string) (map[string]eni.Capacity, error) {
	all := map[string]eni.Capacity{}
	err := c.pace.Pages(ctx, apiDescribeTypes, func(token string) (string, error) {
		out, err := send(ctx, c, apiDescribeTypes, func() *ecs.DescribeInstanceTypesRequest {
			r := ecs.CreateDescribeInstanceTypesRequest()
			r.InstanceTypes, r.MaxResults, r.NextToken = &kinds, requests.NewInteger(maxIDs), token
			return r
		}, ecs.CreateDescribeInstanceTypesResponse)
		if err != nil {
			return "", err
		}
		for _, t := range out.InstanceTypes.InstanceType {
			if t.EniQuantity > 0 && t.EniPrivateIpAddressQuantity > 0 {
				c := eni.Capacity{NICs: t.EniQuantity, Addrs: t.EniPrivateIpAddressQuantity}
				if t.EniTrunkSupported {
					c.Members = max(0, t.EniTotalQuantity-t.EniQuantity)
				}
				all[t.InstanceTypeId] = c
			}
		}
		return out.NextToken, nil
	})
	return all, err
}

// Subnets implements eni.Cloud, one call each: that an answer has several is documented
// nowhere.
func (c *cloud) Subnets(ctx context.Context, ids []string) (map[string]eni.Subnet, error) {
	all := map[string]eni.Subnet{}
	for i, id := range ids {
		if i > 0 {
			if err := c.pace.Take(ctx, apiDescribeVSwitches); err != nil {
				return nil, err
			}
		}
		out, err := send(ctx, c, apiDescribeVSwitches, func() *vpc.DescribeVSwitchesRequest {
			r := vpc.CreateDescribeVSwitchesRequest()
			r.VSwitchId = id
			return r
		}, vpc.CreateDescribeVSwitchesResponse)
		if err != nil {
			return nil, err
		}
		for _, s := range out.VSwitches.VSwitch {
			all[s.VSwitchId] = subnetFrom(s)
		}
	}
	return all, nil
}

func subnetFrom(s vpc.VSwitch) eni.Subnet {
	got := eni.Subnet{ID: s.VSwitchId, Zone: s.ZoneId, VPC: s.VpcId, Free: int(s.AvailableIpAddressCount)}
	for _, text := range []string{s.CidrBlock, s.Ipv6CidrBlock} {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			got.Nets = append(got.Nets, nic.Subnet{Prefix: prefix, Gateway: gateway(prefix)})
		}
	}
	return got
}

// gateway is the next hop out of a vSwitch's prefix: the last address but two, as
// instances are told by their metadata.
func gateway(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(bytes) // as long as it was
	return last.Prev().Prev()
}

// Groups implements eni.Cloud.
func (c *cloud) Groups(ctx context.Context, ids []string) (map[string]string, error) {
	if err := c.pace.Take(ctx, apiDescribeGroups); err != nil {
		return nil, err
	}
	all := map[string]string{}
	err := c.pace.Pages(ctx, apiDescribeGroups, func(token string) (string, error) {
		out, err := send(ctx, c, apiDescribeGroups, func() *ecs.DescribeSecurityGroupsRequest {
			r := ecs.CreateDescribeSecurityGroupsRequest()
			r.SecurityGroupIds, r.MaxResults, r.NextToken = jsonOf(ids), requests.NewInteger(maxIDs), token
			return r
		}, ecs.CreateDescribeSecurityGroupsResponse)
		if err != nil {
			return "", err
		}
		for _, g := range out.SecurityGroups.SecurityGroup {
			all[g.SecurityGroupId] = g.VpcId
		}
		return out.NextToken, nil
	})
	return all, err
}
