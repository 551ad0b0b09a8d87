package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// A network and a NIC of a cloud say where, and with which groups, it makes them; what
// is of no cloud says nothing of it.
func TestDescribeCloud(t *testing.T) {
	t.Parallel()
	cloud := nic.Cloud{Subnets: []string{"subnet-a", "subnet-b"}, Groups: []string{"sg-1"}, IPv6: true, Tags: map[string]string{"team": "w\x1beb"}}
	spec := cloud.Spec()
	spec.Zone, spec.Subnet = "eu-central-1a", "subnet-a"
	for _, c := range []struct {
		thing thing
		want  string
	}{
		{newNetwork(api.NetworkView{Network: nic.Network{Name: "vpc", Cloud: cloud}}), "Cloud: Subnets: subnet-a, subnet-b Pick: the one with the most free addresses Groups: sg-1 IPv6: yes Tag team: w"},
		{card{api.NICView{NIC: nic.NIC{ID: "nic-1", Spec: nic.Spec{Cloud: spec}}}}, "Cloud: Zone: eu-central-1a Subnet: subnet-a Groups: sg-1 IPv6: yes Tag team: w"},
		{newNetwork(api.NetworkView{Network: nic.Network{Name: "lab"}}), ""},
		{card{}, ""},
		{newNetwork(api.NetworkView{Network: nic.Network{Name: "vpc", Cloud: nic.Cloud{Subnets: []string{"subnet-a"}, Shared: true}}}), "Shared: by containers of one tenant on a node"},
		{
			card{api.NICView{NIC: nic.NIC{ID: "nic-1", Spec: nic.Spec{Cloud: nic.CloudSpec{Zone: "a", Trunk: true, Floating: []string{"havip-1", "havip-2"}}}}}},
			"Cloud: Zone: a Member of the instance's trunk: yes Floating addresses: havip-1, havip-2",
		},
		{
			card{api.NICView{NIC: nic.NIC{ID: "nic-1", Spec: nic.Spec{Cloud: nic.CloudSpec{Zone: "a"}}, Seen: nic.Seen{
				Device: nic.Device{Kind: nic.VLAN, Tag: 7, Trunk: nic.MAC{2, 0, 0, 0, 0, 9}},
			}}}},
			"Kind: vlan VLAN: 7 of trunk 02:00:00:00:00:09",
		},
		{
			card{api.NICView{NIC: nic.NIC{ID: "nic-1", Carries: true, Seats: 2, Closed: true, Spec: nic.Spec{Cloud: nic.CloudSpec{Zone: "a", Secondary: 14}}}}},
			"Seats: 2 taken of 14, and no more are given Cloud: Zone: a Addresses for seats: 14",
		},
	} {
		got := strings.Join(strings.Fields(described(t, c.thing, time.Time{})), " ")
		if !strings.Contains(got, c.want) || strings.Contains(got, "Cloud") != (c.want != "") || strings.ContainsRune(got, '\x1b') {
			t.Errorf("got %s\nwant %s", got, c.want)
		}
	}
}

// A public address without a NIC is told to cost money for nothing.
func TestPublicAddress(t *testing.T) {
	t.Parallel()
	var c claim
	if got := c.public(); got != "" {
		t.Errorf("without one it says %q", got)
	}
	c.Identity.Public = netip.MustParseAddr("203.0.113.9")
	if got := c.public(); got != "203.0.113.9 (leads nowhere while there is no NIC, and costs money all the same)" {
		t.Errorf("without a NIC it says %q", got)
	}
	c.NIC = "nic-00000000000000a1"
	if got := c.public(); got != "203.0.113.9" {
		t.Errorf("it says %q", got)
	}
}
