package ecs

import (
	"slices"
	"testing"
	"time"

	sdkecs "github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
	sdkvpc "github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// set is an interface as the SDK reads it.
func (in *inside) set(id string) sdkecs.NetworkInterfaceSet {
	in.Helper()
	all := in.do("DescribeNetworkInterfaces", "NetworkInterfaceId", []string{id}).(*sdkecs.DescribeNetworkInterfacesResponse).NetworkInterfaceSets.NetworkInterfaceSet
	if len(all) == 0 {
		return sdkecs.NetworkInterfaceSet{}
	}
	return all[0]
}

func (in *inside) made(pairs ...any) *sdkecs.CreateNetworkInterfaceResponse {
	in.Helper()
	pairs = append([]any{"VSwitchId", in.vSwitch, "SecurityGroupIds", []string{in.group}}, pairs...)
	return in.do("CreateNetworkInterface", pairs...).(*sdkecs.CreateNetworkInterfaceResponse)
}

// The unmodified SDK makes an interface with everything, moves it about and ends it.
func TestTheSDKDrivesInterfaces(t *testing.T) {
	t.Parallel()
	in := newInside(t, cloudsim.Options{})
	tags := []sdkecs.CreateNetworkInterfaceTag{{Key: "k", Value: "v"}}
	made := in.made("PrimaryIpAddress", "10.0.1.9", "PrivateIpAddress", []string{"10.0.1.10"}, "Ipv6AddressCount", "1", "NetworkInterfaceName", "nic",
		"Description", "a b*~+/ü%20&=", "Tag", &tags, "ClientToken", "t", "InstanceType", "Secondary", "NetworkInterfaceTrafficMode", "Standard",
		"DeleteOnRelease", "false", "SourceDestCheck", "true", "QueueNumber", "2", "QueuePairNumber", "1", "ResourceGroupId", "rg-1")
	id := made.NetworkInterfaceId
	if made.Status != "Available" || made.Type != "Secondary" || made.MacAddress == "" || len(made.PrivateIpSets.PrivateIpSet) != 2 ||
		made.Description != "a b*~+/ü%20&=" || made.Tags.Tag[0].TagValue != "v" || made.SecurityGroupIds.SecurityGroupId[0] != in.group {
		t.Errorf("made is %+v", made)
	}
	flat := in.do("DescribeNetworkInterfaceAttribute", "NetworkInterfaceId", id, "Attribute", "basic").(*sdkecs.DescribeNetworkInterfaceAttributeResponse)
	if flat.NetworkInterfaceId != id || flat.PrivateIpAddress != "10.0.1.9" || flat.DeleteOnRelease {
		t.Errorf("alone it is %+v", flat)
	}
	in.do("ModifyNetworkInterfaceAttribute", "NetworkInterfaceId", id, "SecurityGroupId", []string{in.group}, "DeleteOnRelease", "true",
		"SourceDestCheck", "false", "Description", "another", "NetworkInterfaceName", "other", "QueueNumber", "4")
	in.do("AttachNetworkInterface", "NetworkInterfaceId", id, "InstanceId", in.ecs, "NetworkCardIndex", "0", "WaitForNetworkConfigurationReady", "false")
	got := in.set(id)
	if got.Status != "InUse" || got.InstanceId != in.ecs || got.Attachment.InstanceId != in.ecs || !got.DeleteOnRelease || got.SourceDestCheck || got.NetworkInterfaceName != "other" {
		t.Errorf("in use it is %+v", got)
	}
	in.do("DetachNetworkInterface", "NetworkInterfaceId", id, "InstanceId", in.ecs)
	four := in.do("AssignPrivateIpAddresses", "NetworkInterfaceId", id, "SecondaryPrivateIpAddressCount", "2", "ClientToken", "a").(*sdkecs.AssignPrivateIpAddressesResponse)
	blocks := in.do("AssignPrivateIpAddresses", "NetworkInterfaceId", id, "Ipv4PrefixCount", "1").(*sdkecs.AssignPrivateIpAddressesResponse)
	six := in.do("AssignIpv6Addresses", "NetworkInterfaceId", id, "Ipv6PrefixCount", "1", "ClientToken", "b").(*sdkecs.AssignIpv6AddressesResponse)
	addrs, prefixes, prefixes6 := four.AssignedPrivateIpAddressesSet.PrivateIpSet.PrivateIpAddress, blocks.AssignedPrivateIpAddressesSet.Ipv4PrefixSet.Ipv4Prefixes, six.Ipv6PrefixSets.Ipv6Prefix
	got = in.set(id)
	if len(addrs) != 2 || len(prefixes) != 1 || len(prefixes6) != 1 || len(got.Ipv4PrefixSets.Ipv4PrefixSet) != 1 || len(got.Ipv6PrefixSets.Ipv6PrefixSet) != 1 || len(got.Ipv6Sets.Ipv6Set) != 1 {
		t.Errorf("assigned are %v, %v and %v, and it has %+v", addrs, prefixes, prefixes6, got)
	}
	in.do("UnassignPrivateIpAddresses", "NetworkInterfaceId", id, "PrivateIpAddress", addrs, "Ipv4Prefix", prefixes)
	in.do("UnassignIpv6Addresses", "NetworkInterfaceId", id, "Ipv6Address", []string{got.Ipv6Sets.Ipv6Set[0].Ipv6Address}, "Ipv6Prefix", prefixes6)
	if got = in.set(id); len(got.PrivateIpSets.PrivateIpSet) != 2 || len(got.Ipv6Sets.Ipv6Set)+len(got.Ipv4PrefixSets.Ipv4PrefixSet)+len(got.Ipv6PrefixSets.Ipv6PrefixSet) != 0 {
		t.Errorf("unassigned it has %+v", got)
	}
	in.do("TagResources", "ResourceType", "eni", "ResourceId", []string{id}, "Tag", &[]sdkecs.TagResourcesTag{{Key: "x", Value: "y"}})
	in.do("UntagResources", "ResourceType", "eni", "ResourceId", []string{id}, "TagKey", []string{"k"})
	if all := in.do("ListTagResources", "ResourceType", "eni", "ResourceId", []string{id}).(*sdkecs.ListTagResourcesResponse).TagResources.TagResource; len(all) != 1 || all[0].TagKey != "x" {
		t.Errorf("its tags are %+v", all)
	}
	in.do("DeleteNetworkInterface", "NetworkInterfaceId", id)
	if _, err := in.by("DeleteNetworkInterface", "NetworkInterfaceId", id); codeOf(err) != "InvalidEniId.NotFound" || in.set(id).NetworkInterfaceId != "" {
		t.Errorf("deleted it is %+v, %v", in.set(id), err)
	}
	made = in.made("PrimaryIpAddress", "10.0.1.9", "Ipv4Prefix", []string{"10.0.1.64/28"}, "Ipv6Prefix", []string{"fd00:0:0:1:7::/80"}, "NetworkInterfaceTrafficMode", "HighPerformance")
	if made.Ipv4PrefixSets.Ipv4PrefixSet[0].Ipv4Prefix != "10.0.1.64/28" || made.Ipv6PrefixSets.Ipv6PrefixSet[0].Ipv6Prefix != "fd00:0:0:1:7::/80" {
		t.Errorf("made with prefixes is %+v", made)
	}
}

// It joins members to a trunk, whose VLAN it reads, and cannot take the trunk away from
// under them.
func TestTheSDKDrivesTrunks(t *testing.T) {
	t.Parallel()
	in := newInside(t, cloudsim.Options{Types: smallTypes})
	trunk := in.made("InstanceType", "Trunk").NetworkInterfaceId
	in.do("AttachNetworkInterface", "NetworkInterfaceId", trunk, "InstanceId", in.ecs)
	var members []string
	for range 2 {
		id := in.made().NetworkInterfaceId
		in.do("AttachNetworkInterface", "NetworkInterfaceId", id, "InstanceId", in.ecs, "TrunkNetworkInstanceId", trunk)
		members = append(members, id)
	}
	a, b := in.set(members[0]), in.set(members[1])
	if a.Type != "Member" || a.Status != "InUse" || a.InstanceId != "" || a.Attachment.InstanceId != in.ecs || a.Attachment.TrunkNetworkInterfaceId != trunk ||
		a.Attachment.DeviceIndex == 0 || a.Attachment.DeviceIndex == b.Attachment.DeviceIndex {
		t.Errorf("a member is %+v, another %+v", a, b)
	}
	got := in.set(trunk)
	if ids := got.Attachment.MemberNetworkInterfaceIds.MemberNetworkInterfaceId; got.Type != "Trunk" || !slices.Equal(ids, members) {
		t.Errorf("the trunk is %+v", got)
	}
	for kind, want := range map[string]int{"Primary": 1, "Trunk": 1, "Member": 2, "Secondary": 0} {
		all := in.do("DescribeNetworkInterfaces", "Type", kind).(*sdkecs.DescribeNetworkInterfacesResponse)
		if n := len(all.NetworkInterfaceSets.NetworkInterfaceSet); n != want || all.TotalCount != want {
			t.Errorf("of type %s are %d, %d", kind, n, all.TotalCount)
		}
	}
	_, err := in.by("AttachNetworkInterface", "NetworkInterfaceId", in.made().NetworkInterfaceId, "InstanceId", in.ecs, "TrunkNetworkInstanceId", trunk)
	if codeOf(err) != "EniPerInstanceLimitExceeded" {
		t.Errorf("one member more than the type allows: %v", err)
	}
	if _, err := in.by("DetachNetworkInterface", "NetworkInterfaceId", trunk, "InstanceId", in.ecs); codeOf(err) != "InvalidOperation.HasMemberEniAttached" {
		t.Errorf("to detach the trunk: %v", err)
	}
	for _, id := range members {
		in.do("DetachNetworkInterface", "NetworkInterfaceId", id, "InstanceId", in.ecs, "TrunkNetworkInstanceId", trunk)
	}
	if got := in.set(members[0]); got.Status != "Available" || got.Type != "Secondary" || got.Attachment.TrunkNetworkInterfaceId != "" {
		t.Errorf("detached it is %+v", got)
	}
	in.do("DetachNetworkInterface", "NetworkInterfaceId", trunk, "InstanceId", in.ecs)
	types := in.do("DescribeInstanceTypes", "InstanceTypes", []string{"ecs.g6.large", "ecs.old"}).(*sdkecs.DescribeInstanceTypesResponse).InstanceTypes.InstanceType
	if x, y := types[0], types[1]; !x.EniTrunkSupported || x.EniTotalQuantity-x.EniQuantity != 2 || y.EniTrunkSupported || y.EniTotalQuantity != y.EniQuantity {
		t.Errorf("the types are %+v and %+v", x, y)
	}
}

// It pages by number and by token, also where it asks for a type, and gets all.
func TestTheSDKPages(t *testing.T) {
	t.Parallel()
	in := newInside(t, cloudsim.Options{})
	want := map[string]bool{}
	for range 7 {
		want[in.made().NetworkInterfaceId] = true
	}
	list := func(pairs ...any) *sdkecs.DescribeNetworkInterfacesResponse {
		return in.do("DescribeNetworkInterfaces", append([]any{"Type", "Secondary", "Status", "Available"}, pairs...)...).(*sdkecs.DescribeNetworkInterfacesResponse)
	}
	byNumber, byToken := map[string]bool{}, map[string]bool{}
	for page := range 3 {
		got := list("PageSize", "3", "PageNumber", string(rune('1'+page)))
		for _, e := range got.NetworkInterfaceSets.NetworkInterfaceSet {
			byNumber[e.NetworkInterfaceId] = true
		}
		if got.TotalCount != 7 || got.PageSize != 3 || got.PageNumber != page+1 {
			t.Errorf("page %d is %+v", page+1, got)
		}
	}
	sizes := []int{}
	for token := ""; len(sizes) < 9; {
		got := list("MaxResults", "3", "NextToken", token, "PageNumber", "1000")
		for _, e := range got.NetworkInterfaceSets.NetworkInterfaceSet {
			byToken[e.NetworkInterfaceId] = true
		}
		sizes = append(sizes, len(got.NetworkInterfaceSets.NetworkInterfaceSet))
		if token = got.NextToken; token == "" {
			break
		}
	}
	if len(byNumber) != 7 || len(byToken) != 7 || !slices.Equal(sizes, []int{3, 3, 1}) {
		t.Errorf("of %v there are by number %v, by token %v in %v", want, byNumber, byToken, sizes)
	}
}

// It sees what is around the interfaces.
func TestTheSDKSeesTheWorld(t *testing.T) {
	t.Parallel()
	in := newInside(t, cloudsim.Options{})
	i := in.do("DescribeInstances", "InstanceIds", `["`+in.ecs+`"]`, "Status", "Running", "AdditionalAttributes", []string{"META_OPTIONS"}).(*sdkecs.DescribeInstancesResponse).Instances.Instance[0]
	if i.InstanceId != in.ecs || i.VpcAttributes.VSwitchId != in.vSwitch || i.NetworkInterfaces.NetworkInterface[0].Type != "Primary" {
		t.Errorf("the instance is %+v", i)
	}
	if g := in.do("DescribeSecurityGroups", "SecurityGroupId", in.group).(*sdkecs.DescribeSecurityGroupsResponse).SecurityGroups.SecurityGroup; len(g) != 1 || g[0].VpcId != in.vpc {
		t.Errorf("the group is %+v", g)
	}
	if v := in.do("DescribeVpcs", "VpcId", in.vpc).(*sdkvpc.DescribeVpcsResponse).Vpcs.Vpc; len(v) != 1 || v[0].CidrBlock != "10.0.0.0/16" {
		t.Errorf("the VPC is %+v", v)
	}
	if s := in.do("DescribeVSwitches", "VSwitchId", in.vSwitch, "ZoneId", "cn-hangzhou-a").(*sdkvpc.DescribeVSwitchesResponse).VSwitches.VSwitch; len(s) != 1 || s[0].AvailableIpAddressCount == 0 {
		t.Errorf("the vSwitch is %+v", s)
	}
}

// It binds a public address to an instance, an interface and a floating address, and
// lets a floating one have members.
func TestTheSDKDrivesAddresses(t *testing.T) {
	t.Parallel()
	in := newInside(t, cloudsim.Options{})
	v := in.do("CreateHaVip", "VSwitchId", in.vSwitch, "IpAddress", "10.0.1.200", "Name", "gateway", "Description", "of us", "ClientToken", "h",
		"Tag", &[]sdkvpc.CreateHaVipTag{{Key: "k", Value: "v"}}).(*sdkvpc.CreateHaVipResponse)
	id, eni := v.HaVipId, in.made().NetworkInterfaceId
	see := func() sdkvpc.HaVip {
		filter := []sdkvpc.DescribeHaVipsFilter{{Key: "HaVipId", Value: &[]string{id}}, {Key: "VSwitchId", Value: &[]string{in.vSwitch}}}
		all := in.do("DescribeHaVips", "Filter", &filter, "Tags", &[]sdkvpc.DescribeHaVipsTags{{Key: "k", Value: "v"}}, "PageSize", "50").(*sdkvpc.DescribeHaVipsResponse)
		if len(all.HaVips.HaVip) == 0 {
			return sdkvpc.HaVip{}
		}
		return all.HaVips.HaVip[0]
	}
	eip := in.do("AllocateEipAddress", "ClientToken", "e", "Name", "public", "Bandwidth", "5", "InternetChargeType", "PayByTraffic").(*sdkvpc.AllocateEipAddressResponse)
	if a := in.do("DescribeEipAddresses", "EipName", "publi").(*sdkvpc.DescribeEipAddressesResponse); a.TotalCount != 0 {
		t.Errorf("of another name there are %d", a.TotalCount)
	}
	for kind, target := range map[string]string{"EcsInstance": in.ecs, "NetworkInterface": eni, "HaVip": id} {
		in.do("AssociateEipAddress", "AllocationId", eip.AllocationId, "InstanceType", kind, "InstanceId", target, "ClientToken", kind)
		a := in.do("DescribeEipAddresses", "AllocationId", eip.AllocationId, "EipName", "public", "AssociatedInstanceType", kind, "AssociatedInstanceId", target).(*sdkvpc.DescribeEipAddressesResponse).EipAddresses.EipAddress
		if len(a) != 1 || a[0].Status != "InUse" || a[0].InstanceId != target || a[0].IpAddress != eip.EipAddress {
			t.Errorf("on %s it is %+v", kind, a)
		}
		if kind == "HaVip" && !slices.Equal(see().AssociatedEipAddresses.AssociatedEipAddresse, []string{eip.EipAddress}) {
			t.Errorf("with it the floating one is %+v", see())
		}
		in.do("UnassociateEipAddress", "AllocationId", eip.AllocationId, "InstanceType", kind, "InstanceId", target, "Force", "true")
	}
	in.do("ReleaseEipAddress", "AllocationId", eip.AllocationId)
	for kind, member := range map[string]string{"": in.ecs, "NetworkInterface": eni} {
		in.do("AssociateHaVip", "HaVipId", id, "InstanceId", member, "InstanceType", kind)
		if got := see(); got.Status != "InUse" || got.MasterInstanceId != member || !slices.Equal(got.AssociatedInstances.AssociatedInstance, []string{member}) ||
			got.AssociatedInstanceType == "" || got.IpAddress != "10.0.1.200" || got.Tags.Tag[0].Value != "v" {
			t.Errorf("it is %+v", got)
		}
		in.do("UnassociateHaVip", "HaVipId", id, "InstanceId", member, "InstanceType", kind, "Force", "True")
	}
	if got := see(); got.Status != "Available" || len(got.AssociatedInstances.AssociatedInstance) != 0 {
		t.Errorf("without members it is %+v", got)
	}
	in.do("DeleteHaVip", "HaVipId", id)
	if got := see(); got.HaVipId != "" {
		t.Errorf("deleted it is %+v", got)
	}
}

// Each state in between is to be seen, and has its refusal.
func TestStatesInBetween(t *testing.T) {
	t.Parallel()
	long := cloudsim.Range{Min: time.Hour, Max: time.Hour}
	in := newInside(t, cloudsim.Options{Latency: cloudsim.Latency{Create: long, Attach: long, Detach: long, Delete: long, Bind: long}})
	refused := func(want, action string, pairs ...any) {
		t.Helper()
		if _, err := in.by(action, pairs...); codeOf(err) != want {
			t.Errorf("%s is refused with %v, want %s", action, err, want)
		}
	}
	id := in.made().NetworkInterfaceId
	if got := in.set(id).Status; got != "Creating" {
		t.Errorf("made it is %s", got)
	}
	refused("InvalidOperation.InvalidEniState", "DeleteNetworkInterface", "NetworkInterfaceId", id)
	in.remake(cloudsim.Options{Latency: cloudsim.Latency{Attach: long, Delete: long, Bind: long}})
	id = in.made().NetworkInterfaceId
	in.do("AttachNetworkInterface", "NetworkInterfaceId", id, "InstanceId", in.ecs)
	if got := in.set(id).Status; got != "Attaching" {
		t.Errorf("on its way it is %s", got)
	}
	refused("InvalidOperation.InvalidEniState", "AssignPrivateIpAddresses", "NetworkInterfaceId", id, "SecondaryPrivateIpAddressCount", "1")
	gone := in.made().NetworkInterfaceId
	in.do("DeleteNetworkInterface", "NetworkInterfaceId", gone)
	in.do("DeleteNetworkInterface", "NetworkInterfaceId", gone) // which is allowed again
	all := in.do("DescribeNetworkInterfaces", "Status", "Deleting").(*sdkecs.DescribeNetworkInterfacesResponse).NetworkInterfaceSets.NetworkInterfaceSet
	if len(all) != 1 || all[0].NetworkInterfaceId != gone || all[0].Status != "Deleting" {
		t.Errorf("being deleted are %+v", all)
	}
	refused("InvalidOperation.InvalidEniState", "AttachNetworkInterface", "NetworkInterfaceId", gone, "InstanceId", in.ecs)
	eip := in.do("AllocateEipAddress").(*sdkvpc.AllocateEipAddressResponse).AllocationId
	in.do("AssociateEipAddress", "AllocationId", eip, "InstanceId", in.ecs)
	a := in.do("DescribeEipAddresses", "Status", "Associating").(*sdkvpc.DescribeEipAddressesResponse).EipAddresses.EipAddress
	if len(a) != 1 || a[0].AllocationId != eip {
		t.Errorf("on their way are %+v", a)
	}
	refused("IncorrectEipStatus", "ReleaseEipAddress", "AllocationId", eip)
	v := in.do("CreateHaVip", "VSwitchId", in.vSwitch).(*sdkvpc.CreateHaVipResponse).HaVipId
	if got := in.do("DescribeHaVips").(*sdkvpc.DescribeHaVipsResponse).HaVips.HaVip; len(got) != 1 || got[0].Status != "Creating" {
		t.Errorf("floating are %+v", got)
	}
	refused("InvalidVip.Status", "AssociateHaVip", "HaVipId", v, "InstanceId", in.ecs)
}

// A signature that is wrong tells the SDK whose fault it is.
func TestTheSDKToldOfItsSignature(t *testing.T) {
	t.Parallel()
	in := newInside(t, cloudsim.Options{})
	in.face.opts.Keys = func(string) (Key, bool) { return Key{Secret: "another"}, true }
	if _, err := in.by("DescribeVpcs"); codeOf(err) != "InvalidAccessKeySecret" && codeOf(err) != "SignatureDoesNotMatch" {
		t.Errorf("it says %v", err)
	}
}
