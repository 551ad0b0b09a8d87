package ecs

import (
	"context"
	"slices"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// resourceTypes are the kinds of resources with tags, in the words of the two clouds.
var resourceTypes = map[string]string{"eni": "network-interface", "instance": "instance", "securitygroup": "security-group"}

func runTag(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *tagResources) (answer, error) {
	tags, err := tagsOf(r.Tags)
	switch {
	case err != nil:
		return nil, err
	case resourceTypes[r.Type] == "":
		return nil, refuse(badValue, "ResourceType")
	case len(r.IDs) == 0 || len(tags) == 0:
		return nil, refuse(missing, "ResourceId and Tag")
	}
	return &done{}, c.CreateTags(ctx, call, r.IDs, tags)
}

func runUntag(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *untagResources) (answer, error) {
	switch {
	case resourceTypes[r.Type] == "":
		return nil, refuse(badValue, "ResourceType")
	case len(r.IDs) == 0 || len(r.Keys) == 0 && !r.All:
		return nil, refuse(missing, "ResourceId and TagKey")
	}
	return &done{}, c.DeleteTags(ctx, call, r.IDs, each(r.Keys, func(key string) cloudsim.Untag { return cloudsim.Untag{Key: key} }))
}

// runListTags lists the tags of resources that are named or that have the tags asked for.
func runListTags(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *listTags) (answer, error) {
	if resourceTypes[r.Type] == "" {
		return nil, refuse(badValue, "ResourceType")
	}
	if len(r.IDs)+len(r.Tags) == 0 {
		return nil, refuse(missing, "ResourceId or Tag")
	}
	f := filters{{Name: "resource-type", Values: []string{resourceTypes[r.Type]}}}
	f.by("resource-id", r.IDs...)
	page, err := c.DescribeTags(ctx, call, cloudsim.Describe{Filters: f})
	if err != nil {
		return nil, err
	}
	has := map[string]cloudsim.Tags{}
	for _, t := range page.Items {
		if has[t.Resource] == nil {
			has[t.Resource] = cloudsim.Tags{}
		}
		has[t.Resource][t.Key] = t.Value
	}
	got := &tagsAnswer{}
	for _, t := range page.Items {
		fits := !slices.ContainsFunc(r.Tags, func(want tag) bool {
			value, there := has[t.Resource][want.Key]
			return !there || want.Value != "" && value != want.Value
		})
		if fits {
			got.Tags.List = append(got.Tags.List, resourceTag{Type: r.Type, ID: t.Resource, Key: t.Key, Value: t.Value})
		}
	}
	return got, nil
}
