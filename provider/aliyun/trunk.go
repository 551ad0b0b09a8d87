package aliyun

import (
	"context"
	"slices"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/eni"
)

// Trunks implements eni.Trunker, by two looks: whether ECS shows one that is being attached
// among an instance's is documented nowhere, and ours are known by their tags.
func (c *cloud) Trunks(ctx context.Context, instance nic.InstanceID) ([]eni.Interface, error) {
	var all []eni.Interface
	for _, narrow := range []func(*ecs.DescribeNetworkInterfacesRequest){
		func(r *ecs.DescribeNetworkInterfacesRequest) { r.InstanceId = string(instance) },
		func(r *ecs.DescribeNetworkInterfacesRequest) {
			r.Tag = list(map[string]string{eni.TagCluster: c.cluster, eni.TagInstance: string(instance)}, func(key, value string) ecs.DescribeNetworkInterfacesTag {
				return ecs.DescribeNetworkInterfacesTag{Key: key, Value: value}
			})
		},
	} {
		if err := c.pace.Take(ctx, apiDescribeInterfaces); err != nil {
			return nil, err
		}
		got, err := c.interfaces(ctx, func(r *ecs.DescribeNetworkInterfacesRequest) {
			r.Type = typeTrunk
			narrow(r)
		})
		if err != nil {
			return nil, err
		}
		for _, f := range got {
			if !slices.ContainsFunc(all, func(o eni.Interface) bool { return o.ID == f.ID }) {
				all = append(all, f)
			}
		}
	}
	return all, nil
}

// Join implements eni.Trunker.
func (c *cloud) Join(ctx context.Context, f, trunk eni.Interface, instance nic.InstanceID) (string, error) {
	return string(instance), do(ctx, c, apiAttachInterface, func() *ecs.AttachNetworkInterfaceRequest {
		r := ecs.CreateAttachNetworkInterfaceRequest()
		r.NetworkInterfaceId, r.InstanceId, r.TrunkNetworkInstanceId = f.ID, string(instance), trunk.ID
		return r
	}, ecs.CreateAttachNetworkInterfaceResponse)
}

var _ eni.Trunker = (*cloud)(nil)
