package imds

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// ec2Tree lays out what an instance is told of itself.
func ec2Tree(g *cloudsim.Guest, tags bool) tree {
	i := &g.Instance
	t := tree{
		"ami-id": i.Image, "ami-launch-index": "0", "instance-id": i.ID, "instance-type": i.Type, "instance-life-cycle": "on-demand",
		"reservation-id": i.Reservation, "placement/region": g.Region, "placement/availability-zone": i.Zone, "placement/availability-zone-id": g.ZoneID,
		"services/domain": "amazonaws.com", "services/partition": "aws",
	}
	if tags {
		for key, value := range i.Tags {
			t["tags/instance/"+key] = value
		}
	}
	for n := range g.Interfaces {
		one := &g.Interfaces[n]
		t.addInterface(g, one)
		if device, card := index(one); device == 0 && card == 0 {
			t.addPrimary(g, one)
		}
	}
	return t
}

// addPrimary lays out what is told of the first NIC besides.
func (t tree) addPrimary(g *cloudsim.Guest, n *cloudsim.GuestInterface) {
	t["mac"] = n.Interface.MAC.String()
	t["security-groups"] = groups(n, func(group cloudsim.Group) string { return group.Name })
	if len(n.Interface.IPv4) == 0 {
		return
	}
	first := n.Interface.IPv4[0]
	t["local-ipv4"] = first.Addr.String()
	t["hostname"] = hostname(first, g.Region)
	t["local-hostname"] = t["hostname"]
	if first.Association != nil {
		t["public-ipv4"] = first.Association.Public.String()
	}
}

// addInterface lays one NIC out. What is empty is absent, as clients expect it
// of IPv6 and of prefixes: they take 404 for none.
func (t tree) addInterface(g *cloudsim.Guest, n *cloudsim.GuestInterface) {
	i := &n.Interface
	device, card := index(n)
	dir := "network/interfaces/macs/" + i.MAC.String() + "/"
	for name, text := range map[string]string{
		"device-number": strconv.Itoa(device), "interface-id": i.ID, "mac": i.MAC.String(), "owner-id": i.Owner, "subnet-id": i.Subnet, "vpc-id": i.VPC,
		"security-groups":    groups(n, func(group cloudsim.Group) string { return group.Name }),
		"security-group-ids": groups(n, func(group cloudsim.Group) string { return group.ID }),
		"ipv6s":              lines(i.IPv6), "ipv4-prefix": lines(i.IPv4Prefixes), "ipv6-prefix": lines(i.IPv6Prefixes),
		"subnet-ipv4-cidr-block": prefix(n.Subnet.CIDR), "subnet-ipv6-cidr-blocks": prefix(n.Subnet.CIDR6),
		"vpc-ipv4-cidr-block": prefix(n.VPC.CIDR), "vpc-ipv4-cidr-blocks": prefix(n.VPC.CIDR), "vpc-ipv6-cidr-blocks": prefix(n.VPC.CIDR6),
	} {
		t[dir+name] = text
	}
	if n.Cards > 1 {
		// The vendor's page has the longer name, and clients read the shorter.
		t[dir+"network-card"] = strconv.Itoa(card)
		t[dir+"network-card-index"] = strconv.Itoa(card)
	}
	var local, public []netip.Addr
	for _, ip := range i.IPv4 {
		local = append(local, ip.Addr)
		if ip.Association != nil {
			public = append(public, ip.Association.Public)
			t[dir+"ipv4-associations/"+ip.Association.Public.String()] = ip.Addr.String()
		}
	}
	t[dir+"local-ipv4s"], t[dir+"public-ipv4s"] = lines(local), lines(public)
	if len(i.IPv4) > 0 {
		t[dir+"local-hostname"] = hostname(i.IPv4[0], g.Region)
	}
}

func groups(n *cloudsim.GuestInterface, what func(cloudsim.Group) string) string {
	all := make([]string, 0, len(n.Interface.Groups))
	for _, group := range n.Interface.Groups {
		all = append(all, what(group))
	}
	return strings.Join(all, "\n")
}

// hostname is the model's name for an address, or EC2's.
func hostname(ip cloudsim.PrivateIP, region string) string {
	if ip.DNS != "" {
		return ip.DNS
	}
	domain := region + ".compute.internal"
	if region == "us-east-1" {
		domain = "ec2.internal"
	}
	return "ip-" + strings.ReplaceAll(ip.Addr.String(), ".", "-") + "." + domain
}
