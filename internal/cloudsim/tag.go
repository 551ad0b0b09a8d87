package cloudsim

import "context"

// Tags are a resource's, by key.
type Tags map[string]string

// A Tag is one tag of one resource.
type Tag struct {
	Resource string
	// Type is as in ARNs, such as network-interface.
	Type       string
	Key, Value string
}

// CreateTags puts tags on resources, over those of the same keys.
func (c *Cloud) CreateTags(ctx context.Context, call Call, ids []string, tags Tags) error {
	return errNotBuilt
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
	return errNotBuilt
}

// DescribeTags lists tags. Filters: resource-id, resource-type, key, value, tag:<key>.
func (c *Cloud) DescribeTags(ctx context.Context, call Call, d Describe) (Page[Tag], error) {
	return Page[Tag]{}, errNotBuilt
}
