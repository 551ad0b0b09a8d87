package cloudsim

import (
	"context"
	"slices"
)

// A SecurityGroup is a set of rules, which nobody here enforces. Its ID is
// drawn where it is empty.
type SecurityGroup struct {
	ID, Name, Description string
	VPC                   string // required
	Owner                 string
	Tags                  Tags
}

type group struct {
	SecurityGroup
	n int
}

func (g *group) seen() SecurityGroup {
	seen := g.SecurityGroup
	seen.Tags = g.Tags.clone()
	return seen
}

// A Group is a security group as interfaces name it.
type Group struct{ ID, Name string }

// AddGroup makes a security group.
func (c *Cloud) AddGroup(g SecurityGroup) (SecurityGroup, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.vpcs[g.VPC] == nil {
		return SecurityGroup{}, refuse("vpc.missing", g.VPC)
	}
	if g.ID == "" {
		g.ID = c.id("sg")
	}
	if c.groups[g.ID] != nil {
		return SecurityGroup{}, refuse("value", "The security group "+g.ID+" exists already.")
	}
	g.Owner, g.Tags = c.opts.Account, g.Tags.clone()
	c.groups[g.ID] = &group{g, c.next()}
	return g, nil
}

// groupsFor resolves ids to groups that an interface of the subnet can have;
// none named is the VPC's own. unknown is what to say of one that is not there, and
// has are those that the interface has already.
func (c *Cloud) groupsFor(ids []string, s *subnet, unknown string, has ...Group) ([]Group, error) {
	if len(ids) == 0 {
		ids = []string{c.vpcs[s.VPC].standard}
	}
	var all []Group
	for _, id := range ids {
		g := c.groups[id]
		if g == nil {
			return nil, refuse(unknown, id)
		}
		if g.VPC != s.VPC {
			return nil, refuse("group.foreign", id, s.ID)
		}
		named := Group{g.ID, g.Name}
		if most := c.opts.Quotas.InterfacesPerGroup; most > 0 && len(c.index[key{"group-id", id}]) >= most && !slices.Contains(has, named) {
			return nil, refuse("group.full", id)
		}
		if !slices.Contains(all, named) {
			all = append(all, named)
		}
	}
	if most := c.opts.Quotas.GroupsPerInterface; len(all) > most {
		return nil, refuse("group.limit", most)
	}
	return all, nil
}

var groupFilters = filterTable[SecurityGroup]{
	"group-id":    func(g *SecurityGroup) []string { return one(g.ID) },
	"group-name":  func(g *SecurityGroup) []string { return one(g.Name) },
	"vpc-id":      func(g *SecurityGroup) []string { return one(g.VPC) },
	"description": func(g *SecurityGroup) []string { return one(g.Description) },
	"owner-id":    func(g *SecurityGroup) []string { return one(g.Owner) },
}

// DescribeSecurityGroups lists groups. Filters: group-id, group-name, vpc-id, description, owner-id, tag:<key>, tag-key.
func (c *Cloud) DescribeSecurityGroups(ctx context.Context, call Call, d Describe) (Page[SecurityGroup], error) {
	return describe(ctx, c, call, d, listing[SecurityGroup]{
		api: "DescribeSecurityGroups", filters: groupFilters, tags: func(g *SecurityGroup) Tags { return g.Tags },
		all:     every(c.groups, func(g *group) numbered[SecurityGroup] { return numbered[SecurityGroup]{g.n, g.ID, new(g.seen())} }),
		missing: func(id string) error { return refuse("group.unknown", id) },
	})
}
