package aws

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/eni"
)

// tagName is the tag that AWS's console shows as a thing's name.
const tagName = "Name"

// interfaceFrom reads what EC2 says. Whatever is missing in it stays empty. The
// attachment decides what state it is in: its own status may say anything meanwhile.
func interfaceFrom(ni types.NetworkInterface) eni.Interface {
	f := eni.Interface{
		ID: aws.ToString(ni.NetworkInterfaceId), Subnet: aws.ToString(ni.SubnetId), Description: aws.ToString(ni.Description),
		State: nic.StateAvailable, Tags: tagsFrom(ni.TagSet), Addrs: addrsOf(ni), Checked: aws.ToBool(ni.SourceDestCheck),
	}
	f.MAC, _ = nic.ParseMAC(aws.ToString(ni.MacAddress)) // zero where it is none
	a := ni.Attachment
	switch {
	case a != nil && a.Status != types.AttachmentStatusDetached && aws.ToString(a.AttachmentId) != "":
		f.State, f.Tied = stateFrom(a.Status), aws.ToBool(a.DeleteOnTermination)
		f.Plug = &eni.Plug{
			ID: aws.ToString(a.AttachmentId), Instance: nic.InstanceID(aws.ToString(a.InstanceId)),
			Index: int(aws.ToInt32(a.DeviceIndex)),
		}
	case ni.Status == "pending":
		f.State = nic.StateCreating
	}
	return f
}

func stateFrom(attachment types.AttachmentStatus) nic.State {
	switch attachment {
	case types.AttachmentStatusDetaching:
		return nic.StateDetaching
	case types.AttachmentStatusAttached:
		return nic.StateAttached
	}
	return nic.StateAttaching
}

func addrsOf(ni types.NetworkInterface) []netip.Addr {
	var addrs []netip.Addr
	add := func(text *string) {
		if a, err := netip.ParseAddr(aws.ToString(text)); err == nil && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	add(ni.PrivateIpAddress)
	for _, a := range ni.PrivateIpAddresses {
		add(a.PrivateIpAddress)
	}
	add(ni.Ipv6Address)
	for _, a := range ni.Ipv6Addresses {
		add(a.Ipv6Address)
	}
	return addrs
}

func tagsFrom(tags []types.Tag) map[string]string {
	all := map[string]string{}
	for _, t := range tags {
		all[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return all
}

// withTags is what is made with those tags and a name.
func withTags(kind types.ResourceType, tags map[string]string, name string) []types.TagSpecification {
	all := maps.Clone(tags)
	all[tagName] = "nicferry " + name
	spec := types.TagSpecification{ResourceType: kind}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		spec.Tags = append(spec.Tags, types.Tag{Key: aws.String(key), Value: aws.String(all[key])})
	}
	return []types.TagSpecification{spec}
}
