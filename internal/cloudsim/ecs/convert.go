package ecs

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// at is a time as ECS writes it.
func at(t time.Time) string { return t.UTC().Format(stamp) }

// text is an address, or "" where there is none.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// each is f of all; an empty list where there is none, as lists are never left out.
func each[F, T any](all []F, f func(F) T) []T {
	list := make([]T, 0, len(all))
	for _, one := range all {
		list = append(list, f(one))
	}
	return list
}

// tagsOf are the tags of a request. A key given twice is refused.
func tagsOf(asked []tag) (cloudsim.Tags, error) {
	tags := cloudsim.Tags{}
	for _, t := range asked {
		if key := strings.ToLower(t.Key); strings.HasPrefix(key, "aliyun") || strings.HasPrefix(key, "acs:") { // kept for the cloud [D]
			return nil, refuse(badTag)
		}
		if _, there := tags[t.Key]; there {
			return nil, refuse(tagTwice)
		}
		tags[t.Key] = t.Value
	}
	return tags, nil
}

func tagItems(tags cloudsim.Tags) interfaceTags {
	return interfaceTags{each(slices.Sorted(maps.Keys(tags)), func(key string) interfaceTag { return interfaceTag{key, tags[key]} })}
}

// status is an interface's in ECS's words.
func status(i cloudsim.Interface) string {
	switch {
	case i.Attachment != nil && i.Attachment.Status == cloudsim.Attaching:
		return "Attaching"
	case i.Attachment != nil && i.Attachment.Status == cloudsim.Detaching:
		return "Detaching"
	case i.Status == cloudsim.StatusInUse:
		return "InUse"
	case i.Status == cloudsim.StatusPending:
		return "Creating"
	case i.Status == cloudsim.StatusDeleting:
		return "Deleting"
	default:
		return "Available"
	}
}

// kind is an interface's in ECS's words.
func kind(i cloudsim.Interface) string {
	switch {
	case i.Attachment != nil && i.Attachment.Trunk != "":
		return "Member"
	case i.Attachment != nil && i.Attachment.Device == 0 && i.Attachment.Card == 0:
		return "Primary"
	case i.Kind == "trunk":
		return "Trunk"
	default:
		return "Secondary"
	}
}

func addrsOf(i cloudsim.Interface) privateIPs {
	return privateIPs{each(i.IPv4, func(p cloudsim.PrivateIP) privateIP {
		return privateIP{Addr: text(p.Addr), DNS: p.DNS, Primary: p.Primary, Public: publicOf(p.Association)}
	})}
}

func publicOf(a *cloudsim.Association) publicIP {
	if a == nil {
		return publicIP{}
	}
	return publicIP{text(a.Public), a.Allocation}
}

// madeOf is an interface as it is made, and interfaceOf one as it is listed.
func madeOf(i cloudsim.Interface) netInterface {
	return netInterface{
		VPC: i.VPC, Type: kind(i), Status: status(i), Name: i.Name, MAC: i.MAC.String(), ID: i.ID, Owner: i.Owner, Managed: i.Managed,
		VSwitch: i.Subnet, Description: i.Description, Zone: i.Zone, Primary: text(i.Primary()), SourceDestCheck: i.SourceDestCheck,
		Groups: idSet{each(i.Groups, func(g cloudsim.Group) string { return g.ID })},
		Addrs:  addrsOf(i), Tags: tagItems(i.Tags),
		IPv6:         ipv6s{each(i.IPv6, func(a netip.Addr) ipv6 { return ipv6{text(a)} })},
		Prefixes:     prefix4s{each(i.IPv4Prefixes, func(p netip.Prefix) prefix4 { return prefix4{p.String()} })},
		IPv6Prefixes: prefix6s{each(i.IPv6Prefixes, func(p netip.Prefix) prefix6 { return prefix6{p.String()} })},
	}
}

func interfaceOf(i cloudsim.Interface) seenInterface {
	n := seenInterface{
		netInterface: madeOf(i), Created: at(i.Created), TrafficMode: cmp.Or(i.TrafficMode, "Standard"), DeleteOnRelease: i.GoesWithInstance,
		Attachment: attachment{Members: memberIDs{append([]string{}, i.Members...)}},
	}
	if len(i.IPv4) > 0 {
		n.Public = publicOf(i.IPv4[0].Association)
	}
	if a := i.Attachment; a != nil {
		n.Attachment.Instance, n.Attachment.Card, n.DeleteOnRelease = a.Instance, a.Card, a.DeleteOnTermination
		if n.Attachment.Trunk, n.Attachment.Device = a.Trunk, a.VLAN; a.Trunk == "" { // a member's stands there alone [T]
			n.Instance = a.Instance
		}
	}
	return n
}

// filters are what a listing must match, from the values that are given.
type filters []cloudsim.Filter

// by adds a filter, if there are values for it.
func (f *filters) by(name string, values ...string) {
	values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	if len(values) > 0 {
		*f = append(*f, cloudsim.Filter{Name: name, Values: each(values, literal)})
	}
}

func (f *filters) tagged(tags []tag) {
	for _, t := range tags {
		if t.Value == "" {
			f.by("tag-key", t.Key)
		} else {
			f.by("tag:"+t.Key, t.Value)
		}
	}
}

// literal has a value stand for itself: ECS knows no wildcards.
func literal(value string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`).Replace(value)
}

// commas are the ids of a parameter that has several.
func commas(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
