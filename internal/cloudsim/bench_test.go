package cloudsim_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// fleet is 10,000 instances with three tagged interfaces each beside their own.
func fleet(b *testing.B) (*cloudsim.Cloud, []cloudsim.Instance) {
	b.Helper()
	c := cloudsim.New(cloudsim.Options{Quotas: cloudsim.Quotas{Interfaces: 1 << 20}})
	b.Cleanup(c.Close)
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	v, err := c.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.0.0.0/8")})
	check(err)
	s, err := c.AddSubnet(cloudsim.Subnet{VPC: v.ID, Zone: "eu-central-1a", CIDR: netip.MustParsePrefix("10.0.0.0/16")})
	check(err)
	nodes, err := c.AddInstances(cloudsim.RunInstances{Type: "m5.xlarge", Subnet: s.ID, Count: 10_000})
	check(err)
	for n, node := range nodes {
		for k := range 3 {
			e, err := c.CreateInterface(b.Context(), cloudsim.Call{}, cloudsim.CreateInterface{Subnet: s.ID, Tags: cloudsim.Tags{"nicferry.io/cluster": "c", "nicferry.io/nic": fmt.Sprintf("nic-%d-%d", n, k), "nicferry.io/node": node.ID}})
			check(err)
			_, err = c.AttachInterface(b.Context(), cloudsim.Call{}, cloudsim.AttachInterface{Interface: e.ID, Instance: node.ID, Device: k + 1})
			check(err)
		}
	}
	return c, nodes
}

// Among 40,000 interfaces a describe by an indexed filter must not look at all.
func BenchmarkFleetOf10000(b *testing.B) {
	c, nodes := fleet(b)
	describe := func(b *testing.B, d cloudsim.Describe, want int) {
		p, err := c.DescribeInterfaces(b.Context(), cloudsim.Call{}, d)
		if err != nil || len(p.Items) != want {
			b.Fatalf("%d interfaces, and %v", len(p.Items), err)
		}
	}
	by := func(name, value string) cloudsim.Describe {
		return cloudsim.Describe{Filters: []cloudsim.Filter{{Name: name, Values: []string{value}}}}
	}
	b.Run("by tag", func(b *testing.B) {
		for b.Loop() {
			describe(b, by("tag:nicferry.io/nic", "nic-77-1"), 1)
		}
	})
	b.Run("by instance", func(b *testing.B) {
		for b.Loop() {
			describe(b, by("attachment.instance-id", nodes[77].ID), 4)
		}
	})
	b.Run("by description, without an index", func(b *testing.B) {
		for b.Loop() {
			describe(b, by("description", "none"), 0)
		}
	})
	b.Run("instance by id", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.DescribeInstances(b.Context(), cloudsim.Call{}, cloudsim.Describe{IDs: []string{nodes[77].ID}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("life", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			e, err := c.CreateInterface(b.Context(), cloudsim.Call{}, cloudsim.CreateInterface{Subnet: nodes[0].Subnet, Token: fmt.Sprint(n)})
			if err == nil {
				err = c.DeleteInterface(b.Context(), cloudsim.Call{}, e.ID)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
