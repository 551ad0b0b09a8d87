//go:build linux

package cluster

import (
	"net/netip"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim/plug"
	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/lab/hyper"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/nic"
)

// What the controller of a lab with a cloud is told is a config, and names the
// guests' instances.
func TestControllerOfACloud(t *testing.T) {
	opts, err := Options{Dir: "/var/lib/nicferry-lab", Bin: "/opt", Cloud: &Cloud{}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{opts: opts, vendor: vendors.EC2()}
	about := site.About{
		Region: "eu-central-1", Endpoint: "http://" + cloudAPI, Group: "sg-0123456789abcdef0",
		Subnets: []site.Subnet{{
			ID: "subnet-0123456789abcdef0", CIDR: netip.MustParsePrefix("10.80.0.0/18"), CIDR6: netip.MustParsePrefix("fd80::/64"),
		}},
		Instances: []site.Instance{{ID: plug.InstanceID("vm1"), Name: "vm1"}, {ID: plug.InstanceID("vm2"), Name: "vm2"}},
	}
	for kept, spares := range map[bool]int{false: 0, true: 1} {
		config, err := conf.ParseController("nicferryd.yaml", []byte(c.cloudText(about, kept)))
		if err != nil {
			t.Fatal(err)
		}
		if got := config.Nodes["vm2"].Instances[cloudProvider]; got != nic.InstanceID(plug.InstanceID("vm2")) {
			t.Errorf("vm2 is instance %q", got)
		}
		for _, n := range config.Networks {
			want := 0
			if n.Name == "warm" {
				want = spares
			}
			if n.Pool.Min != want || n.MTU != 1500 || n.Cloud.IPv6 == n.Cloud.Shared || len(n.Cloud.Subnets) != 1 {
				t.Errorf("%+v", n)
			}
		}
	}
	c.opts.Cloud.Platform, c.host = true, &hyper.Host{}
	config, err := conf.ParseController("nicferryd.yaml", []byte(c.cloudText(about, false)))
	if err != nil || len(config.Networks) != 6 || len(config.Providers) != 2 {
		t.Errorf("of the cloud's owner: %+v, %v", config, err)
	}
	opts.Switch = OpenVSwitch
	if _, err := opts.withDefaults(); err == nil {
		t.Error("a cloud has Open vSwitch")
	}
}
