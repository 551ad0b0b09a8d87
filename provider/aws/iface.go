package aws

import (
	"net/netip"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
)

// The tags of what is ours.
const (
	tagNIC     = "nicferry.io/nic"
	tagCluster = "nicferry.io/cluster"
	tagNode    = "nicferry.io/node"
	tagClaim   = "nicferry.io/claim"
	tagName    = "Name"
)

// An iface is an elastic network interface, as EC2 described it once.
type iface struct {
	id, subnet, status, description string
	nic                             nic.ID
	node                            string
	mac                             nic.MAC
	addrs                           []netip.Addr // the primary one first
	checked                         bool         // source and destination are
	plug                            *plug        // nil where it is plugged in nowhere
}

// A plug is an attachment.
type plug struct {
	id       string
	instance nic.InstanceID
	status   types.AttachmentStatus
	index    int
	leaves   bool // it is deleted with its instance
}

// ifaceOf reads what EC2 says. Whatever is missing in it stays empty.
func ifaceOf(ni types.NetworkInterface) iface {
	f := iface{
		id: aws.ToString(ni.NetworkInterfaceId), subnet: aws.ToString(ni.SubnetId), status: string(ni.Status),
		description: aws.ToString(ni.Description),
		nic:         nic.ID(tag(ni.TagSet, tagNIC)), node: tag(ni.TagSet, tagNode),
		addrs: addrsOf(ni), checked: aws.ToBool(ni.SourceDestCheck),
	}
	f.mac, _ = nic.ParseMAC(aws.ToString(ni.MacAddress)) // zero where it is none
	if a := ni.Attachment; a != nil && a.Status != types.AttachmentStatusDetached && aws.ToString(a.AttachmentId) != "" {
		f.plug = &plug{
			id: aws.ToString(a.AttachmentId), instance: nic.InstanceID(aws.ToString(a.InstanceId)), status: a.Status,
			index: int(aws.ToInt32(a.DeviceIndex)), leaves: aws.ToBool(a.DeleteOnTermination),
		}
	}
	return f
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

func tag(tags []types.Tag, key string) string {
	for _, t := range tags {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}

// stale is how long after our own attach a read without it is held for a stale
// one. Terraform holds such reads for stale for three minutes; here a NIC that
// really fell off would be told too late.
const stale = 10 * time.Second

// stateOf is the NIC's state and place by what EC2 says, and by what we have just
// done where EC2 does not show it yet. The attachment decides: the interface's
// own status may say anything meanwhile.
func stateOf(f iface, d deeds) (nic.State, nic.Place) {
	switch {
	case d.deleted():
		return nic.StateDeleting, nic.Place{}
	case f.plug == nil && time.Since(d.attachedAt) < stale:
		return nic.StateAttaching, d.place
	case f.plug == nil && f.status == "pending":
		return nic.StateCreating, nic.Place{}
	case f.plug == nil:
		return nic.StateAvailable, nic.Place{}
	}
	place := nic.Place{Node: f.node, Instance: f.plug.instance}
	if d.place.Instance == place.Instance {
		place.Node = d.place.Node
	}
	switch {
	case f.plug.id == d.detached || f.plug.status == types.AttachmentStatusDetaching:
		return nic.StateDetaching, place
	case f.plug.status == types.AttachmentStatusAttached:
		return nic.StateAttached, place
	}
	return nic.StateAttaching, place
}
