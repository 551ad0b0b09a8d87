package ecs

import (
	"context"
	"strconv"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

func runCreate(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *createInterface) (answer, error) {
	tags, err := tagsOf(r.Tags)
	if err != nil {
		return nil, err
	}
	groups := r.GroupIDs
	if r.GroupID != "" {
		groups = append(groups, r.GroupID)
	}
	if (r.GroupID != "") == (len(r.GroupIDs) > 0) {
		return nil, refuse(missing, "SecurityGroupId")
	}
	if err := checkCreate(r); err != nil {
		return nil, err
	}
	none := 0
	create := cloudsim.CreateInterface{
		Subnet: r.VSwitchID, Token: r.Token, Name: r.Name, Description: r.Description, Groups: groups, Primary: r.Primary,
		IPv4Count: number(r.Count), IPv4Prefixes: r.Prefixes, IPv4PrefixCount: number(r.PrefixCount),
		IPv6: r.IPv6, IPv6Prefixes: r.IPv6Prefixes, IPv6PrefixCount: number(r.IPv6PrefixCount),
		Kind: kinds[r.Type], TrafficMode: r.TrafficMode, Tags: tags, GoesWithInstance: r.DeleteOnRelease == nil || *r.DeleteOnRelease, SourceDestCheck: r.SourceDestCheck,
	}
	for _, a := range r.Addrs {
		create.IPv4 = append(create.IPv4, cloudsim.WantedIP{Addr: a})
	}
	if create.IPv6Count = r.IPv6Count; r.IPv6Count == nil && len(r.IPv6)+len(r.IPv6Prefixes)+create.IPv6PrefixCount == 0 {
		create.IPv6Count = &none
	}
	made, err := c.CreateInterface(ctx, call, create)
	return &createAnswer{netInterface: madeOf(made)}, err
}

// inState are the filters for a status in ECS's words; false is one that none has.
func (f *filters) inState(status string) bool {
	switch status {
	case "":
	case "Available":
		f.by("status", string(cloudsim.StatusAvailable))
	case "Deleting":
		f.by("status", string(cloudsim.StatusDeleting))
	case "CreateFailed":
		f.by("status", "create-failed") // documented, and none is in it here
	case "Creating":
		f.by("status", string(cloudsim.StatusPending))
	case "InUse":
		f.by("attachment.status", string(cloudsim.Attached))
	case "Attaching":
		f.by("attachment.status", string(cloudsim.Attaching))
	case "Detaching":
		f.by("attachment.status", string(cloudsim.Detaching))
	default:
		return false
	}
	return true
}

// ofType are the filters for a type in ECS's words; false is one that none has.
func (f *filters) ofType(kind string) bool {
	switch kind {
	case "":
	case "Primary":
		f.by(".first", "true")
	case "Member":
		f.by(".member", "true")
	case "Trunk":
		f.by("interface-type", "trunk")
	case "Secondary":
		f.by("interface-type", "interface")
		f.by(".first", "false")
		f.by(".member", "false")
	default:
		return false
	}
	return true
}

// runDescribe lists interfaces. One that is not there is no error: the list is shorter.
func runDescribe(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *describeInterfaces) (answer, error) {
	var f filters
	f.by("network-interface-id", r.IDs...)
	f.by("attachment.instance-id", r.InstanceID)
	f.by("subnet-id", r.VSwitchID)
	f.by("vpc-id", r.VPCID)
	if f.by("group-id", r.GroupID); r.GroupID != "" {
		f.by(".first", "false") // it asks for secondary ones alone [D]
	}
	f.by("private-ip-address", text(r.Primary))
	f.by("addresses.private-ip-address", each(r.Addrs, text)...)
	f.by("ipv6-addresses.ipv6-address", each(r.IPv6, text)...)
	f.tagged(r.Tags)
	f.by(".name", r.Name)
	if r.ServiceManaged != nil {
		f.by("requester-managed", strconv.FormatBool(*r.ServiceManaged))
	}
	switch {
	case !f.inState(r.Status):
		return nil, refuse(badValue, "Status")
	case !f.ofType(r.Type):
		return nil, refuse(badValue, "Type")
	case len(r.IDs) > mostNumbered:
		return nil, refuse(badValue, "NetworkInterfaceId")
	case len(r.Addrs) > mostNumbered:
		return nil, refuse(badValue, "PrivateIpAddress")
	}
	d, err := r.describe(f)
	if err != nil {
		return nil, err
	}
	if len(r.Tags) > 0 {
		d.Shown = mostTagged
	}
	page, err := c.DescribeInterfaces(ctx, call, d)
	if err != nil {
		return nil, err
	}
	got := &interfacesAnswer{NextToken: page.NextToken}
	got.Sets.Set = each(page.Items, interfaceOf)
	if !r.wanted() {
		got.Sets.Set, got.numberedPage, err = cut(r.numbered, mostTokened, got.Sets.Set)
	}
	return got, err
}

func runAttribute(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *interfaceAttribute) (answer, error) {
	i, err := c.DescribeInterfaceAttribute(ctx, call, r.InterfaceID, "")
	return &interfaceAnswer{seenInterface: interfaceOf(i)}, err
}

func runAttach(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *plugInterface) (answer, error) {
	_, err := c.AttachInterface(ctx, call, cloudsim.AttachInterface{
		Interface: r.InterfaceID, Instance: r.InstanceID, Device: cloudsim.AnyDevice, Card: r.Card, Trunk: r.Trunk,
	})
	return &done{}, err
}

func runDetach(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *unplugInterface) (answer, error) {
	err := c.DetachInterface(ctx, call, cloudsim.DetachInterface{Interface: r.InterfaceID, Instance: r.InstanceID, Trunk: r.Trunk, Again: true})
	return &done{}, err
}

func runDelete(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *interfaceNamed) (answer, error) {
	return &done{}, c.DeleteInterface(ctx, call, r.InterfaceID)
}

func runModify(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r *modifyInterface) (answer, error) {
	if err := checkWords(r.Name, r.Description); err != nil {
		return nil, err
	}
	return &done{}, c.ModifyInterface(ctx, call, cloudsim.ModifyInterface{
		Interface: r.InterfaceID, Several: true, Name: r.Name, Description: r.Description, GoesWithInstance: r.DeleteOnRelease,
		SourceDestCheck: r.SourceDestCheck, Groups: r.GroupIDs,
	})
}
