package ec2

import (
	"context"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

func runCreateTags(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *changeTags) (answer, error) {
	if len(r.Tags) == 0 {
		return nil, refuse(missing, "Tag").asError()
	}
	tags, no := plainTags(r.Tags)
	if no != nil {
		return nil, no.asError()
	}
	return &done{Return: true}, c.CreateTags(ctx, call, r.Resources, tags)
}

func runDeleteTags(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *changeTags) (answer, error) {
	untags := each(r.Tags, func(t tag) cloudsim.Untag { return cloudsim.Untag(t) })
	return &done{Return: true}, c.DeleteTags(ctx, call, r.Resources, untags)
}

func runDescribeTags(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeTags) (answer, error) {
	page, err := c.DescribeTags(ctx, call, r.describe(nil, r.Filters))
	return &tagsAnswer{more: more{page.NextToken}, Tags: each(page.Items, func(t cloudsim.Tag) tagDescription {
		return tagDescription{Resource: t.Resource, Type: t.Type, tagItem: tagItem{t.Key, t.Value}}
	})}, err
}
