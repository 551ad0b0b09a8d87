package vendors_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/lab/vendors"
)

// A subnet's router is where each cloud has it.
func TestRouters(t *testing.T) {
	t.Parallel()
	subnet := site.Subnet{CIDR: netip.MustParsePrefix("10.80.64.0/18"), CIDR6: netip.MustParsePrefix("fd80:0:0:1::/64")}
	for want, v := range map[string]vendors.Vendor{
		"[10.80.64.1/18 fd80:0:0:1::1/64 fe80:ec2::1/64]":   vendors.EC2(),
		"[10.80.127.253/18 fd80::1:ffff:ffff:ffff:fffd/64]": vendors.ECS(),
	} {
		if got := fmt.Sprint(v.Routers(subnet)); got != want {
			t.Errorf("%s: %s, want %s", v.Name, got, want)
		}
	}
}

// Each cloud's items of the controller's lists are in its own words.
func TestConfig(t *testing.T) {
	t.Parallel()
	n := vendors.Network{Name: "vpc", Provider: "cloud", Subnets: []string{"s1", "s2"}, Groups: []string{"g"}, Section: []string{"mode: shared"}, More: []string{"mtu: 1500"}}
	for want, v := range map[string]vendors.Vendor{
		"  - {name: cloud, kind: aws, aws: {region: r, endpoint: \"http://e\"}}\n" +
			"  - {name: vpc, provider: cloud, addressing: provider, aws: {subnets: [s1, s2], groups: [g], mode: shared}, mtu: 1500}\n": vendors.EC2(),
		"  - {name: cloud, kind: aliyun, aliyun: {region: r, endpoint: \"http://e\"}}\n" +
			"  - {name: vpc, provider: cloud, addressing: provider, aliyun: {vSwitches: [s1, s2], securityGroups: [g], mode: shared}, mtu: 1500}\n": vendors.ECS(),
	} {
		if got := v.Provider("cloud", "r", "http://e") + v.Network(n); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
