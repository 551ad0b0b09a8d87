package cloudsim

import (
	"context"
	"strconv"
)

// stamp is how times stand in filters and answers.
const stamp = "2006-01-02T15:04:05.000Z"

// ofAttachment is a filter's values of what is attached.
func ofAttachment(get func(*Attachment) string) func(*Interface) []string {
	return func(i *Interface) []string {
		if i.Attachment == nil {
			return nil
		}
		return []string{get(i.Attachment)}
	}
}

// ofAddresses is a filter's values of each address.
func ofAddresses(get func(PrivateIP) string) func(*Interface) []string {
	return func(i *Interface) []string {
		var all []string
		for _, ip := range i.IPv4 {
			all = append(all, one(get(ip))...)
		}
		return all
	}
}

// ofAssociations is a filter's values of each public address.
func ofAssociations(get func(*Association) string) func(*Interface) []string {
	return ofAddresses(func(ip PrivateIP) string {
		if ip.Association == nil {
			return ""
		}
		return get(ip.Association)
	})
}

// interfaceFilters are those of DescribeNetworkInterfaces, but for the tags'.
var interfaceFilters = filterTable[Interface]{
	"network-interface-id": func(i *Interface) []string { return one(i.ID) },
	"status":               func(i *Interface) []string { return one(string(i.Status)) },
	"subnet-id":            func(i *Interface) []string { return one(i.Subnet) },
	"vpc-id":               func(i *Interface) []string { return one(i.VPC) },
	"availability-zone":    func(i *Interface) []string { return one(i.Zone) },
	"availability-zone-id": func(i *Interface) []string { return one(i.ZoneID) },
	"mac-address":          func(i *Interface) []string { return one(i.MAC.String()) },
	"description":          func(i *Interface) []string { return []string{i.Description} },
	"interface-type":       func(i *Interface) []string { return one(i.Kind) },
	"owner-id":             func(i *Interface) []string { return one(i.Owner) },
	"requester-id":         func(i *Interface) []string { return one(i.Requester) },
	"requester-managed":    func(i *Interface) []string { return yes(i.Managed) },
	"operator.managed":     func(*Interface) []string { return yes(false) },
	"source-dest-check":    func(i *Interface) []string { return yes(i.SourceDestCheck) },

	// Those with a dot in front are for faces whose cloud asks by other things.
	".name":   func(i *Interface) []string { return one(i.Name) },
	".first":  func(i *Interface) []string { return yes(i.Attachment.first()) },
	".member": func(i *Interface) []string { return yes(i.Attachment != nil && i.Attachment.Trunk != "") },

	"group-id": func(i *Interface) []string {
		var all []string
		for _, g := range i.Groups {
			all = append(all, g.ID)
		}
		return all
	},
	"private-ip-address": func(i *Interface) []string {
		if len(i.IPv4) == 0 {
			return nil
		}
		return one(i.IPv4[0].Addr.String())
	},
	"addresses.private-ip-address": ofAddresses(func(ip PrivateIP) string { return ip.Addr.String() }),
	"addresses.primary":            ofAddresses(func(ip PrivateIP) string { return strconv.FormatBool(ip.Primary) }),
	"ipv6-addresses.ipv6-address": func(i *Interface) []string {
		var all []string
		for _, a := range i.IPv6 {
			all = append(all, a.String())
		}
		return all
	},

	"association.public-ip":           ofAssociations(func(a *Association) string { return a.Public.String() }),
	"addresses.association.public-ip": ofAssociations(func(a *Association) string { return a.Public.String() }),
	"association.allocation-id":       ofAssociations(func(a *Association) string { return a.Allocation }),
	"association.association-id":      ofAssociations(func(a *Association) string { return a.ID }),

	"attachment.attachment-id":         ofAttachment(func(a *Attachment) string { return a.ID }),
	"attachment.instance-id":           ofAttachment(func(a *Attachment) string { return a.Instance }),
	"attachment.instance-owner-id":     ofAttachment(func(a *Attachment) string { return a.InstanceOwner }),
	"attachment.device-index":          ofAttachment(func(a *Attachment) string { return strconv.Itoa(a.Device) }),
	"attachment.status":                ofAttachment(func(a *Attachment) string { return string(a.Status) }),
	"attachment.delete-on-termination": ofAttachment(func(a *Attachment) string { return strconv.FormatBool(a.DeleteOnTermination) }),
	"attachment.attach-time":           ofAttachment(func(a *Attachment) string { return a.Time.UTC().Format(stamp) }),
}

// DescribeInterfaces lists interfaces. Filters are those of
// DescribeNetworkInterfaces.
func (c *Cloud) DescribeInterfaces(ctx context.Context, call Call, d Describe) (Page[Interface], error) {
	p, err := describe(ctx, c, call, d, listing[Interface]{
		api: "DescribeNetworkInterfaces", filters: interfaceFilters, tags: func(i *Interface) Tags { return i.Tags },
		all: func(t *turn) []numbered[Interface] { return t.candidates(d) },
		missing: func(id string) error {
			if !wellFormed(id, "eni") {
				return refuse("eni.malformed", id)
			}
			return refuse("eni.missing", id)
		},
	})
	for i := range p.Items {
		p.Items[i] = p.Items[i].clone()
	}
	return p, err
}
