package ecs

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

func (w *world) want(got any, path string, want any) {
	w.Helper()
	if v := dig(got, path); fmt.Sprint(v) != fmt.Sprint(want) {
		w.Errorf("%s is %v, want %v, in %v", path, v, want, got)
	}
}

// until asks until the interface has the status.
func (w *world) until(id, status string) any {
	w.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		got := w.seen(id)
		if dig(got, "Status") == status {
			return got
		}
		if time.Now().After(end) {
			w.Fatalf("%s is %v, want status %s", id, got, status)
		}
	}
}

func TestAnInterfacesLife(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	id := w.create("PrimaryIpAddress", "10.0.1.9", "SecondaryPrivateIpAddressCount", "1", "Ipv6AddressCount", "1", "NetworkInterfaceName", "name",
		"Description", "desc", "Tag.1.Key", "k", "Tag.1.Value", "v", "DeleteOnRelease", "false", "ClientToken", "t1")
	got := w.until(id, "Available")
	for path, want := range map[string]any{
		"PrivateIpAddress": "10.0.1.9", "NetworkInterfaceName": "name", "Description": "desc", "VSwitchId": w.vSwitch, "VpcId": w.vpc,
		"Type": "Secondary", "ZoneId": "cn-hangzhou-a", "DeleteOnRelease": false, "SecurityGroupIds.SecurityGroupId.0": w.group,
		"PrivateIpSets.PrivateIpSet.0.Primary": true, "PrivateIpSets.PrivateIpSet.1.Primary": false,
		"Tags.Tag.0.TagKey": "k", "Tags.Tag.0.TagValue": "v", "InstanceId": "",
	} {
		w.want(got, path, want)
	}
	if dig(got, "Ipv6Sets.Ipv6Set.0.Ipv6Address") == nil {
		t.Errorf("no IPv6 address: %v", got)
	}
	w.ok("AttachNetworkInterface", "NetworkInterfaceId", id, "InstanceId", w.ecs)
	got = w.until(id, "InUse")
	w.want(got, "InstanceId", w.ecs)
	w.want(got, "Attachment.DeviceIndex", 0) // the guest knows it by its MAC
	if code := w.try("AttachNetworkInterface", "NetworkInterfaceId", w.create(), "InstanceId", w.ecs); code != "EniPerInstanceLimitExceeded" {
		t.Errorf("one too many is %q", code)
	}
	if code := w.try("DeleteNetworkInterface", "NetworkInterfaceId", id); code != "InvalidOperation.InvalidEniState" {
		t.Errorf("to delete it in use is %q", code)
	}
	w.ok("ModifyNetworkInterfaceAttribute", "NetworkInterfaceId", id, "Description", "other", "DeleteOnRelease", "true")
	w.want(w.seen(id), "Description", "other")
	w.want(w.seen(id), "DeleteOnRelease", true)
	w.ok("DetachNetworkInterface", "NetworkInterfaceId", id, "InstanceId", w.ecs)
	w.until(id, "Available")
	w.ok("DeleteNetworkInterface", "NetworkInterfaceId", id)
	if got := w.seen(id); got != nil {
		t.Errorf("deleted, it is %v", got)
	}
	if code := w.try("DeleteNetworkInterface", "NetworkInterfaceId", id); code != "InvalidEniId.NotFound" {
		t.Errorf("to delete it again is %q", code)
	}
}

// Attaching that fails falls back to Available without a word, and detaching that is
// stuck goes on when it is asked for again.
func TestF12_AttachFallsBackAndDetachIsDrivenAgain(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	id := w.create()
	w.until(id, "Available")
	if _, err := w.cloud.Inject(
		cloudsim.Fault{Verb: cloudsim.BackToAvailable, API: "AttachNetworkInterface"},
		cloudsim.Fault{Verb: cloudsim.Stuck, API: "DetachNetworkInterface", State: "detaching"},
	); err != nil {
		t.Fatal(err)
	}
	w.ok("AttachNetworkInterface", "NetworkInterfaceId", id, "InstanceId", w.ecs)
	w.want(w.until(id, "Available"), "InstanceId", "")
	w.ok("AttachNetworkInterface", "NetworkInterfaceId", id, "InstanceId", w.ecs)
	w.until(id, "InUse")
	for _, status := range []string{"Detaching", "Available"} {
		w.ok("DetachNetworkInterface", "NetworkInterfaceId", id, "InstanceId", w.ecs)
		w.until(id, status)
	}
}

// The same token is the same interface, addresses or public address, and with other
// parameters a fault.
func TestTokens(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	id := w.create("ClientToken", "a")
	if again := w.create("ClientToken", "a"); again != id {
		t.Errorf("made %s and %s", id, again)
	}
	if code := w.try("CreateNetworkInterface", "VSwitchId", w.vSwitch, "SecurityGroupId", w.group, "ClientToken", "a", "Description", "xyz"); code != "IdempotentParameterMismatch" {
		t.Errorf("with others: %q", code)
	}
	for _, c := range [][]string{
		{"AssignPrivateIpAddresses", "NetworkInterfaceId", id, "SecondaryPrivateIpAddressCount", "2", "ClientToken", "b"},
		{"AssignIpv6Addresses", "NetworkInterfaceId", id, "Ipv6AddressCount", "2", "ClientToken", "c"},
		{"AllocateEipAddress", "ClientToken", "d"},
	} {
		first, second := w.ok(c[0], c[1:]...), w.ok(c[0], c[1:]...)
		delete(first, "RequestId")
		delete(second, "RequestId")
		if fmt.Sprint(first) != fmt.Sprint(second) {
			t.Errorf("%s: first %v, then %v", c[0], first, second)
		}
	}
	w.want(w.seen(id), "PrivateIpSets.PrivateIpSet.3", nil)
}

func TestAddresses(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	id, other := w.create(), w.create()
	got := w.ok("AssignPrivateIpAddresses", "NetworkInterfaceId", id, "PrivateIpAddress.1", "10.0.1.20")
	w.want(got, "AssignedPrivateIpAddressesSet.PrivateIpSet.PrivateIpAddress.0", "10.0.1.20")
	for code, c := range map[string][]string{
		"InvalidIp.IpAssigned":            {"AssignPrivateIpAddresses", "NetworkInterfaceId", other, "PrivateIpAddress.1", "10.0.1.20"},
		"InvalidVSwitchId.IpInvalid":      {"AssignPrivateIpAddresses", "NetworkInterfaceId", other, "PrivateIpAddress.1", "10.0.2.20"},
		"InvalidParameter.Conflict":       {"AssignPrivateIpAddresses", "NetworkInterfaceId", other},
		"InvalidIp.IpUnassigned":          {"UnassignPrivateIpAddresses", "NetworkInterfaceId", other, "PrivateIpAddress.1", "10.0.1.20"},
		"InvalidEniId.NotFound":           {"UnassignPrivateIpAddresses", "NetworkInterfaceId", "eni-0", "PrivateIpAddress.1", "10.0.1.20"},
		"InvalidParameter":                {"AssignPrivateIpAddresses", "NetworkInterfaceId", other, "PrivateIpAddress.1", "ten"},
		"InvalidVSwitchId.NotFound":       {"CreateNetworkInterface", "VSwitchId", "vsw-0", "SecurityGroupId", w.group},
		"InvalidSecurityGroupId.NotFound": {"CreateNetworkInterface", "VSwitchId", w.vSwitch, "SecurityGroupId", "sg-0"},
		"MissingParameter":                {"CreateNetworkInterface", "VSwitchId", w.vSwitch},
	} {
		if got := w.try(c[0], c[1:]...); got != code {
			t.Errorf("%v is %q, want %s", c, got, code)
		}
	}
	w.ok("UnassignPrivateIpAddresses", "NetworkInterfaceId", id, "PrivateIpAddress.1", "10.0.1.20")
	w.ok("AssignPrivateIpAddresses", "NetworkInterfaceId", other, "PrivateIpAddress.1", "10.0.1.20")
	got = w.ok("AssignIpv6Addresses", "NetworkInterfaceId", id, "Ipv6Address.1", "fd00:0:0:1::7")
	w.want(got, "Ipv6Sets.Ipv6Address.0", "fd00:0:0:1::7")
	w.ok("UnassignIpv6Addresses", "NetworkInterfaceId", id, "Ipv6Address.1", "fd00:0:0:1::7")
	w.want(w.seen(id), "Ipv6Sets.Ipv6Set.0", nil)
}

func TestPublicAddresses(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	id := w.create()
	eip := dig(w.ok("AllocateEipAddress", "Name", "n"), "AllocationId").(string)
	bind := []string{"AllocationId", eip, "InstanceType", "NetworkInterface", "InstanceId", id}
	w.ok("AssociateEipAddress", append(bind, "Mode", "NAT")...)
	got := w.ok("DescribeEipAddresses", "AllocationId", eip)
	w.want(got, "EipAddresses.EipAddress.0.Status", "InUse")
	w.want(got, "EipAddresses.EipAddress.0.InstanceId", id)
	w.want(w.seen(id), "AssociatedPublicIp.AllocationId", eip)
	if code := w.try("ReleaseEipAddress", "AllocationId", eip); code != "IncorrectEipStatus" {
		t.Errorf("to release it in use is %q", code)
	}
	w.ok("UnassociateEipAddress", bind...)
	w.ok("ReleaseEipAddress", "AllocationId", eip)
	if code := w.try("ReleaseEipAddress", "AllocationId", eip); code != "InvalidAllocationId.NotFound" {
		t.Errorf("to release it again is %q", code)
	}
}

func TestListings(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	seen := map[any]bool{}
	for range 7 {
		seen[w.create("Tag.1.Key", "k", "Tag.1.Value", "v")] = true
	}
	for token, pages := "", 0; ; pages++ {
		got := w.ok("DescribeNetworkInterfaces", "Tag.1.Key", "k", "MaxResults", "3", "NextToken", token)
		for _, e := range dig(got, "NetworkInterfaceSets.NetworkInterfaceSet").([]any) {
			delete(seen, dig(e, "NetworkInterfaceId"))
		}
		if token, _ = got["NextToken"].(string); token == "" {
			if pages != 2 || len(seen) != 0 {
				t.Errorf("after %d more pages are left %v", pages, seen)
			}
			break
		}
	}
	got := w.ok("DescribeNetworkInterfaces", "Tag.1.Key", "k", "PageSize", "5", "PageNumber", "2")
	w.want(got, "TotalCount", 7)
	w.want(got, "NetworkInterfaceSets.NetworkInterfaceSet.2", nil)
	w.want(w.ok("DescribeNetworkInterfaces", "Status", "InUse", "Type", "Primary"), "NetworkInterfaceSets.NetworkInterfaceSet.0.InstanceId", w.ecs)
	got = w.ok("DescribeInstances", "InstanceIds", `["`+w.ecs+`","i-0"]`)
	w.want(got, "Instances.Instance.0.Status", "Running")
	w.want(got, "Instances.Instance.0.NetworkInterfaces.NetworkInterface.0.Type", "Primary")
	w.want(got, "Instances.Instance.1", nil)
	w.want(w.ok("DescribeInstanceTypes", "InstanceTypes.1", "ecs.g6.large"), "InstanceTypes.InstanceType.0.EniQuantity", 2)
	w.want(w.ok("DescribeVSwitches", "VSwitchId", w.vSwitch), "VSwitches.VSwitch.0.CidrBlock", "10.0.1.0/24")
	w.want(w.ok("DescribeVpcs", "VpcId", w.vpc), "Vpcs.Vpc.0.CidrBlock", "10.0.0.0/16")
	w.want(w.ok("DescribeSecurityGroups", "SecurityGroupIds", `["`+w.group+`"]`), "SecurityGroups.SecurityGroup.0.VpcId", w.vpc)
	if code := w.try("DescribeInstances", "InstanceIds", "i-0"); code != "InvalidParameter" {
		t.Errorf("ids that are no JSON are %q", code)
	}
}

func TestTags(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	id := w.create()
	w.ok("TagResources", "ResourceType", "eni", "ResourceId.1", id, "Tag.1.Key", "a", "Tag.1.Value", "1", "Tag.2.Key", "b")
	got := w.ok("ListTagResources", "ResourceType", "eni", "Tag.1.Key", "a", "Tag.1.Value", "1")
	w.want(got, "TagResources.TagResource.0.ResourceId", id)
	w.want(got, "TagResources.TagResource.1.TagKey", "b")
	w.want(w.ok("ListTagResources", "ResourceType", "eni", "Tag.1.Key", "a", "Tag.1.Value", "2"), "TagResources.TagResource.0", nil)
	w.ok("UntagResources", "ResourceType", "eni", "ResourceId.1", id, "TagKey.1", "a")
	w.want(w.seen(id), "Tags.Tag.0.TagKey", "b")
	w.want(w.seen(id), "Tags.Tag.1", nil)
}

// Whatever a request says, it is understood or refused.
func FuzzParse(f *testing.F) {
	f.Add("Action=CreateNetworkInterface&Version=2014-05-26&RegionId=r&VSwitchId=v&Tag.1.Key=k")
	f.Add("Action=DescribeInstances&Version=2014-05-26&RegionId=r&InstanceIds=[&MaxResults=-0")
	f.Add("Action=TagResources&Version=2014-05-26&RegionId=r&ResourceId.99999999999999999999=x&Tag..=&.=")
	face := New(Options{})
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		for _, strict := range []bool{true, false} {
			asked, no := face.parse(values, strict)
			if no == nil && asked.action.run == nil {
				t.Errorf("%q: neither understood nor refused: %+v", query, asked)
			}
			if no != nil && (no.Code == "" || no.Status < 400) {
				t.Errorf("%q: refused without a word: %+v", query, no)
			}
		}
	})
}
