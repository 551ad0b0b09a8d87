package aliyun

import (
	"context"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"

	"github.com/nicferry/nicferry/provider/eni"
)

// Floating implements eni.Floater, for HaVips.
func (c *cloud) Floating(ctx context.Context, ids []string) (map[string][]string, error) {
	if err := c.pace.Take(ctx, apiDescribeHaVips); err != nil {
		return nil, err
	}
	all := map[string][]string{}
	err := c.numbered(ctx, apiDescribeHaVips, func(number int) (read, total int, err error) {
		out, err := send(ctx, c, apiDescribeHaVips, func() *vpc.DescribeHaVipsRequest {
			r := vpc.CreateDescribeHaVipsRequest()
			r.PageNumber, r.PageSize = requests.NewInteger(number), requests.NewInteger(maxNumbered)
			r.Filter = &[]vpc.DescribeHaVipsFilter{{Key: "HaVipId", Value: &ids}}
			return r
		}, vpc.CreateDescribeHaVipsResponse)
		if err != nil {
			return 0, 0, err
		}
		for _, v := range out.HaVips.HaVip {
			all[v.HaVipId] = append([]string{}, v.AssociatedInstances.AssociatedInstance...)
		}
		return len(out.HaVips.HaVip), out.TotalCount, nil
	})
	return all, err
}

// Float implements eni.Floater. The token has several attempts be one call.
func (c *cloud) Float(ctx context.Context, id string, f eni.Interface) error {
	token := fresh()
	return do(ctx, c, apiAssociateHaVip, func() *vpc.AssociateHaVipRequest {
		r := vpc.CreateAssociateHaVipRequest()
		r.HaVipId, r.InstanceId, r.InstanceType, r.ClientToken = id, f.ID, kindInterface, token
		return r
	}, vpc.CreateAssociateHaVipResponse)
}

// Sink implements eni.Floater.
func (c *cloud) Sink(ctx context.Context, id string, f eni.Interface) error {
	token := fresh()
	return do(ctx, c, apiUnassociateHaVip, func() *vpc.UnassociateHaVipRequest {
		r := vpc.CreateUnassociateHaVipRequest()
		r.HaVipId, r.InstanceId, r.InstanceType, r.ClientToken = id, f.ID, kindInterface, token
		return r
	}, vpc.CreateUnassociateHaVipResponse)
}

var _ eni.Floater = (*cloud)(nil)
