package cloudsim

import (
	"context"
	"fmt"
	"strings"
)

// A Zone is a part of the region.
type Zone struct {
	// Name is such as eu-central-1a, ID such as euc1-az1.
	Name, ID, Region, State string
}

// zone finds or makes the zone of a name.
func (c *Cloud) zone(name string) Zone {
	for _, z := range c.zones {
		if z.Name == name {
			return z
		}
	}
	short := ""
	for _, word := range strings.Split(c.opts.Region, "-") {
		short += word[:min(1, len(word))]
	}
	if words := strings.Split(c.opts.Region, "-"); len(words) > 0 {
		short = words[0] + short[min(len(short), 1):]
	}
	z := Zone{Name: name, ID: fmt.Sprintf("%s-az%d", short, len(c.zones)+1), Region: c.opts.Region, State: "available"}
	c.zones = append(c.zones, z)
	return z
}

var zoneFilters = filterTable[Zone]{
	"zone-name":   func(z *Zone) []string { return one(z.Name) },
	"zone-id":     func(z *Zone) []string { return one(z.ID) },
	"state":       func(z *Zone) []string { return one(z.State) },
	"region-name": func(z *Zone) []string { return one(z.Region) },
}

// DescribeZones lists zones; IDs are their names. Filters: zone-name, zone-id, state, region-name.
func (c *Cloud) DescribeZones(ctx context.Context, call Call, d Describe) (Page[Zone], error) {
	return describe(ctx, c, call, d, listing[Zone]{
		api: "DescribeAvailabilityZones", filters: zoneFilters,
		all: func(*turn) []numbered[Zone] {
			var all []numbered[Zone]
			for i := range c.zones {
				z := &c.zones[i]
				all = append(all, numbered[Zone]{i + 1, z.Name, z})
			}
			return all
		},
		missing: func(id string) error { return refuse("zone.missing", id) },
	})
}
