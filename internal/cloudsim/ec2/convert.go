package ec2

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// at is a time as EC2 writes it.
func at(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// text is an address, or "" where there is none.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// each is f of all.
func each[F, T any](all []F, f func(F) T) []T {
	var list []T
	for _, one := range all {
		list = append(list, f(one))
	}
	return list
}

func tagItems(tags cloudsim.Tags) []tagItem {
	var items []tagItem
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		items = append(items, tagItem{key, tags[key]})
	}
	return items
}

func groupItems(groups []cloudsim.Group) []groupItem {
	return each(groups, func(g cloudsim.Group) groupItem { return groupItem(g) })
}

// plainTags are the tags of a request. A key given twice is refused.
func plainTags(asked []tag) (cloudsim.Tags, *refusal) {
	tags := cloudsim.Tags{}
	for _, t := range asked {
		if _, there := tags[t.Key]; there {
			return nil, refuse(tagTwice, t.Key)
		}
		tags[t.Key] = ""
		if t.Value != nil {
			tags[t.Key] = *t.Value
		}
	}
	return tags, nil
}

// tagsOf are the tags for a kind of resource, of a request that can tag no other.
func tagsOf(kind string, specs []tagSpec) (cloudsim.Tags, *refusal) {
	var all []tag
	for _, spec := range specs {
		if spec.ResourceType != kind {
			return nil, refuse(taggedOther, spec.ResourceType)
		}
		all = append(all, spec.Tags...)
	}
	return plainTags(all)
}

// describe is what a listing asks for.
func (p pageAsked) describe(ids []string, filters []filter) cloudsim.Describe {
	d := cloudsim.Describe{
		IDs: ids, NextToken: p.NextToken,
		Filters: each(filters, func(f filter) cloudsim.Filter { return cloudsim.Filter(f) }),
	}
	if p.MaxResults != nil {
		d.MaxResults = cmp.Or(*p.MaxResults, -1) // 0 is not all: it is refused
	}
	return d
}

func associationOf(a *cloudsim.Association) *associationItem {
	if a == nil {
		return nil
	}
	return &associationItem{
		PublicIP: text(a.Public), PublicDNS: a.DNS, Owner: a.Owner, AllocationID: a.Allocation, AssociationID: a.ID,
	}
}

func attachmentOf(a *cloudsim.Attachment) *attachmentItem {
	if a == nil {
		return nil
	}
	return &attachmentItem{
		ID: a.ID, InstanceID: a.Instance, InstanceOwner: a.InstanceOwner, DeviceIndex: a.Device, Card: a.Card,
		Status: string(a.Status), AttachTime: at(a.Time), DeleteOnTermination: a.DeleteOnTermination,
	}
}

func cardOf(i cloudsim.Interface) cardItem {
	card := cardItem{
		ID: i.ID, SubnetID: i.Subnet, VPC: i.VPC, Description: i.Description, Owner: i.Owner,
		Status: string(i.Status), MAC: i.MAC.String(), PrivateIP: text(i.Primary()),
		SourceDestCheck: i.SourceDestCheck, Type: i.Kind, Groups: groupItems(i.Groups),
		Attachment: attachmentOf(i.Attachment),
		PrivateIPs: each(i.IPv4, func(p cloudsim.PrivateIP) privateIPItem {
			return privateIPItem{Addr: text(p.Addr), DNS: p.DNS, Primary: p.Primary, Association: associationOf(p.Association)}
		}),
		IPv6s:        each(i.IPv6, func(a netip.Addr) ipv6Item { return ipv6Item{Addr: text(a)} }),
		Prefixes:     prefix4Items(i.IPv4Prefixes),
		IPv6Prefixes: each(i.IPv6Prefixes, func(p netip.Prefix) prefix6Item { return prefix6Item{p.String()} }),
		Operator:     operatorItem{Managed: i.Managed},
	}
	if i.Managed {
		card.Operator.Principal = i.Requester
	}
	if len(i.IPv4) > 0 {
		card.PrivateDNS, card.Association = i.IPv4[0].DNS, associationOf(i.IPv4[0].Association)
	}
	return card
}

func prefix4Items(prefixes []netip.Prefix) []prefix4Item {
	return each(prefixes, func(p netip.Prefix) prefix4Item { return prefix4Item{p.String()} })
}

func interfaceOf(i cloudsim.Interface) interfaceItem {
	item := interfaceItem{
		cardItem: cardOf(i), Zone: i.Zone, ZoneID: i.ZoneID, Requester: i.Requester,
		RequesterManaged: i.Requester != "", Tags: tagItems(i.Tags),
	}
	if len(i.IPv6) > 0 {
		item.IPv6 = text(i.IPv6[0])
	}
	return item
}

// inInstance is an interface as DescribeInstances shows it.
func inInstance(i cloudsim.Interface) cardItem {
	card := cardOf(i)
	card.shorten()
	return card
}

// shorten leaves out what DescribeInstances does not say.
func (c *cardItem) shorten() {
	if c.Attachment != nil {
		c.Attachment.InstanceID, c.Attachment.InstanceOwner = "", ""
	}
	associations := []*associationItem{c.Association}
	for _, p := range c.PrivateIPs {
		associations = append(associations, p.Association)
	}
	for _, a := range associations {
		if a != nil {
			a.AllocationID, a.AssociationID = "", ""
		}
	}
}
