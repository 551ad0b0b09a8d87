package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// cloud adds where a cloud makes a network's NICs.
func (s *sheet) cloud(c nic.Cloud) {
	if len(c.Subnets) == 0 {
		return
	}
	pick := "the one with the most free addresses"
	if c.Pick != nic.PickMostFree {
		pick = string(c.Pick)
	}
	s.section("Cloud")
	s.field("Subnets", strings.Join(c.Subnets, ", "))
	s.field("Pick", pick)
	if c.Shared {
		s.field("Shared", "by containers of one tenant on a node")
	}
	if c.Movable {
		s.field("Movable", "by the address alone")
	}
	s.cloudNIC(c.Spec())
}

// cloudSpec adds where a cloud makes a NIC.
func (s *sheet) cloudSpec(c nic.CloudSpec) {
	s.section("Cloud")
	s.field("Zone", c.Zone)
	s.field("Subnet", c.Subnet)
	s.cloudNIC(c)
}

func (s *sheet) cloudNIC(c nic.CloudSpec) {
	yes := func(name string, is bool) {
		if is {
			s.field(name, "yes")
		}
	}
	s.field("Groups", strings.Join(c.Groups, ", "))
	yes("IPv6", c.IPv6)
	if c.Prefixes > 0 {
		s.field("Prefixes", strconv.Itoa(c.Prefixes))
	}
	if c.Secondary > 0 {
		s.field("Addresses for seats", strconv.Itoa(c.Secondary))
	}
	yes("Member of the instance's trunk", c.Trunk)
	if len(c.Floating) > 0 {
		s.field("Floating addresses", strings.Join(c.Floating, ", "))
	}
	yes("Public address", c.PublicIP)
	yes("Forwards", c.Forwards)
	for _, key := range slices.Sorted(maps.Keys(c.Tags)) {
		s.field("Tag "+key, c.Tags[key])
	}
}
