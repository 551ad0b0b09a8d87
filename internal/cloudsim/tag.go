package cloudsim

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// Tags are a resource's, by key.
type Tags map[string]string

func (t Tags) clone() Tags { return maps.Clone(t) }

// A Tag is one tag of one resource.
type Tag struct {
	Resource string
	// Type is as in ARNs, such as network-interface.
	Type       string
	Key, Value string
}

// marks are tags as faults name resources by them.
func marks(tags Tags) []string {
	var all []string
	for k, v := range tags {
		all = append(all, "tag:"+k+"="+v)
	}
	return all
}

// checkTags says whether a resource can have tags besides those it has.
func (c *Cloud) checkTags(has, wanted Tags) error {
	n := len(has)
	for k := range wanted {
		if strings.HasPrefix(strings.ToLower(k), "aws:") && !c.opts.Asynchronous {
			return refuse("tag.reserved")
		}
		if _, ok := has[k]; !ok {
			n++
		}
	}
	if n > c.opts.Quotas.TagsPerResource {
		return refuse("tag.limit")
	}
	return nil
}

// tagsOf are a resource's tags, and how to replace them; kind is empty where
// there is no such resource.
func (t *turn) tagsOf(id string) (kind string, tags Tags, set func(Tags)) {
	c := t.c
	if e := c.enis[id]; e != nil {
		return "network-interface", e.now.Tags, func(tags Tags) {
			e.now.Tags = tags
			c.commit(e, t.now, t.hidden())
		}
	}
	if i := c.instances[id]; i != nil {
		return "instance", i.Tags, func(tags Tags) { i.Tags = tags }
	}
	if s := c.subnets[id]; s != nil {
		return "subnet", s.Tags, func(tags Tags) { s.Tags = tags }
	}
	if g := c.groups[id]; g != nil {
		return "security-group", g.Tags, func(tags Tags) { g.Tags = tags }
	}
	if v := c.vpcs[id]; v != nil {
		return "vpc", v.Tags, func(tags Tags) { v.Tags = tags }
	}
	if p := c.eips[id]; p != nil {
		return "elastic-ip", p.tags, func(tags Tags) { p.tags = tags }
	}
	if v := c.haVips[id]; v != nil {
		return "havip", v.now.Tags, func(tags Tags) { v.now.Tags = tags }
	}
	return "", nil, nil
}

// retag changes the tags of resources, all or none.
func (c *Cloud) retag(ctx context.Context, call Call, api string, ids []string, wanted Tags, change func(has Tags) Tags) error {
	o := op{api: api, ids: ids, resources: func(t *turn) []Resource {
		on := t.resourcesOf(ids...)
		for i := range on {
			on[i].Wanted = wanted
		}
		return on
	}}
	_, err := serve(ctx, c, call, o, func(t *turn) (struct{}, error) {
		for _, id := range ids {
			kind, has, _ := t.tagsOf(id)
			if e := c.enis[id]; e != nil && e.past[0].visible.After(t.sees()) || kind == "" && wellFormed(id, "eni") {
				return struct{}{}, refuse("eni.missing", id)
			}
			if kind == "" {
				return struct{}{}, refuse("tag.resource", id)
			}
			if err := c.checkTags(has, wanted); err != nil {
				return struct{}{}, err
			}
		}
		if err := t.effect(); err != nil {
			return struct{}{}, err
		}
		for _, id := range ids {
			if _, has, set := t.tagsOf(id); set != nil {
				set(change(has.clone()))
			}
		}
		return struct{}{}, nil
	})
	return err
}

// CreateTags puts tags on resources, over those of the same keys.
func (c *Cloud) CreateTags(ctx context.Context, call Call, ids []string, tags Tags) error {
	return c.retag(ctx, call, "CreateTags", ids, tags, func(has Tags) Tags {
		if has == nil {
			has = Tags{}
		}
		maps.Copy(has, tags)
		return has
	})
}

// An Untag names a tag to take away: with this Value only, or with any where it
// is nil.
type Untag struct {
	Key   string
	Value *string
}

// DeleteTags takes tags away; those that are not there are no error. None named
// is all.
func (c *Cloud) DeleteTags(ctx context.Context, call Call, ids []string, tags []Untag) error {
	return c.retag(ctx, call, "DeleteTags", ids, nil, func(has Tags) Tags {
		if len(tags) == 0 {
			return nil
		}
		for _, u := range tags {
			if v, ok := has[u.Key]; ok && (u.Value == nil || *u.Value == v) {
				delete(has, u.Key)
			}
		}
		return has
	})
}

var tagFilters = filterTable[Tag]{
	"resource-id":   func(t *Tag) []string { return one(t.Resource) },
	"resource-type": func(t *Tag) []string { return one(t.Type) },
	"key":           func(t *Tag) []string { return one(t.Key) },
	"value":         func(t *Tag) []string { return []string{t.Value} },
}

// DescribeTags lists tags by resource and key. Filters: resource-id,
// resource-type, key, value, tag:<key>.
func (c *Cloud) DescribeTags(ctx context.Context, call Call, d Describe) (Page[Tag], error) {
	return describe(ctx, c, call, d, listing[Tag]{
		api: "DescribeTags", filters: tagFilters, tags: func(t *Tag) Tags { return Tags{t.Key: t.Value} },
		all: func(t *turn) []numbered[Tag] {
			var ids []string
			for _, some := range [][]string{keysOf(c.enis), keysOf(c.instances), keysOf(c.subnets), keysOf(c.groups), keysOf(c.vpcs), keysOf(c.eips)} {
				ids = append(ids, some...)
			}
			slices.Sort(ids)
			var all []numbered[Tag]
			for _, id := range ids {
				kind, tags, _ := t.tagsOf(id)
				for _, k := range slices.Sorted(maps.Keys(tags)) {
					all = append(all, numbered[Tag]{len(all) + 1, id, &Tag{id, kind, k, tags[k]}})
				}
			}
			return all
		},
		missing: func(id string) error { return refuse("tag.resource", id) },
	})
}

func keysOf[T any](m map[string]T) []string { return slices.Collect(maps.Keys(m)) }
