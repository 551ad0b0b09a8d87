package aliyun

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/eni"
)

// interfaceFrom reads what ECS says. Whatever is missing in it stays empty. An attachment
// is told by its instance alone.
func interfaceFrom(ni ecs.NetworkInterfaceSet) eni.Interface {
	f := eni.Interface{
		ID: ni.NetworkInterfaceId, Subnet: ni.VSwitchId, Description: ni.Description,
		State: stateFrom(ni.Status), Tags: tagsFrom(ni.Tags.Tag), Addrs: addrsOf(ni), Checked: ni.SourceDestCheck, Tied: ni.DeleteOnRelease,
		Trunk: ni.Type == typeTrunk, Members: ni.Attachment.MemberNetworkInterfaceIds.MemberNetworkInterfaceId, Groups: ni.SecurityGroupIds.SecurityGroupId,
	}
	f.MAC, _ = nic.ParseMAC(ni.MacAddress) // zero where it is none
	at := nic.InstanceID(cmp.Or(ni.Attachment.InstanceId, ni.InstanceId))
	if f.State == nic.StateAttached && at == "" { // it is not said where yet
		f.State = nic.StateAttaching
	}
	switch f.State {
	case nic.StateAttaching, nic.StateAttached, nic.StateDetaching:
		if at != "" {
			f.Plug = &eni.Plug{ID: string(at), Instance: at, Trunk: ni.Attachment.TrunkNetworkInterfaceId}
			if f.Plug.Trunk != "" {
				f.Plug.Tag = ni.Attachment.DeviceIndex
			}
		}
	}
	return f
}

// stateFrom is a status in our words. One that is not documented is none that anything
// can be done in.
func stateFrom(status string) nic.State {
	switch status {
	case "Available":
		return nic.StateAvailable
	case "InUse":
		return nic.StateAttached
	case "Attaching":
		return nic.StateAttaching
	case "Detaching":
		return nic.StateDetaching
	case "Deleting":
		return nic.StateDeleting
	case "CreateFailed":
		return nic.StateFailed
	}
	return nic.StateCreating
}

func addrsOf(ni ecs.NetworkInterfaceSet) []netip.Addr {
	var addrs []netip.Addr
	add := func(text string) {
		if a, err := netip.ParseAddr(text); err == nil && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	add(ni.PrivateIpAddress)
	for _, a := range ni.PrivateIpSets.PrivateIpSet {
		if a.Primary {
			add(a.PrivateIpAddress)
		}
	}
	for _, a := range ni.PrivateIpSets.PrivateIpSet {
		add(a.PrivateIpAddress)
	}
	for _, a := range ni.Ipv6Sets.Ipv6Set {
		add(a.Ipv6Address)
	}
	return addrs
}

// tagsFrom reads tags, which interfaces have under other names than all else.
func tagsFrom(tags []ecs.Tag) map[string]string {
	all := map[string]string{}
	for _, t := range tags {
		all[cmp.Or(t.TagKey, t.Key)] = cmp.Or(t.TagValue, t.Value)
	}
	return all
}
