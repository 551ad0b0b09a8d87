package nic

import (
	"maps"
	"slices"
)

// SubnetPick is how one of a network's subnets is picked for a NIC, among those
// in the node's zone.
type SubnetPick string

// The ways to pick. A subnet that turned out to be full is left alone for a while.
const (
	PickMostFree SubnetPick = ""        // the one with the most free addresses
	PickOrdered  SubnetPick = "ordered" // the first that is not full
	PickRandom   SubnetPick = "random"  // any that is not full
)

// A Cloud is where a cloud makes a network's NICs, and what they are; zero where
// no cloud does.
type Cloud struct {
	// Subnets are the cloud's ids of those that NICs may be made in.
	Subnets []string   `json:"subnets,omitempty"`
	Pick    SubnetPick `json:"pick,omitempty"`
	// Groups are the ids of the security groups of each NIC.
	Groups []string `json:"groups,omitempty"`
	// IPv6: each NIC gets one IPv6 address of its subnet besides.
	IPv6 bool `json:"ipv6,omitempty"`
	// Prefixes is how many IPv4 prefixes of the cloud's size (/28) are delegated
	// to each NIC.
	Prefixes int `json:"prefixes,omitempty"`
	// PublicIP: each claim gets a public address as long as it lives.
	PublicIP bool `json:"publicIp,omitempty"`
	// Forwards: the cloud does not check that frames are from or to the NIC's
	// own addresses, as for routers and VPN gateways.
	Forwards bool `json:"forwards,omitempty"`
	// Movable: claims are made of secondary addresses from the first day, so
	// that a move takes the address alone to a NIC that is already there.
	// Claims that share NICs are so in any case.
	Movable bool `json:"movable,omitempty"`
	// Shared: one NIC serves as many containers as it has addresses.
	Shared bool `json:"shared,omitempty"`
	// Trunk: NICs are members of a trunk, of which an instance has one, and take none of
	// its slots.
	Trunk bool `json:"trunk,omitempty"`
	// Floating are the cloud's ids of addresses that each of the NICs may have, and one at a
	// time has: whose container has last announced it.
	Floating []string `json:"floating,omitempty"`
	// Tags are put on what is made, besides our own.
	Tags map[string]string `json:"tags,omitempty"`
}

// A CloudSpec is a Cloud with every choice made, for one NIC.
type CloudSpec struct {
	// Subnets and Pick are the network's as long as no Subnet is chosen, and empty
	// from then on.
	Subnets []string   `json:"subnets,omitempty"`
	Pick    SubnetPick `json:"pick,omitempty"`
	Zone    string     `json:"zone,omitempty"`
	Subnet  string     `json:"subnet,omitempty"`
	Groups  []string   `json:"groups,omitempty"`
	IPv6    bool       `json:"ipv6,omitempty"`
	// Prefixes, PublicIP, Forwards and Tags are as in Cloud.
	Prefixes int               `json:"prefixes,omitempty"`
	PublicIP bool              `json:"publicIp,omitempty"`
	Forwards bool              `json:"forwards,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	// Secondary is how many IPv4 addresses the NIC gets besides its first, for
	// seats; which ones the cloud says.
	Secondary int `json:"secondary,omitempty"`
	// Trunk and Floating are as in Cloud.
	Trunk    bool     `json:"trunk,omitempty"`
	Floating []string `json:"floating,omitempty"`
}

// Seats says whether the network's claims have further addresses of NICs, rather
// than NICs: with Shared many on each, else one.
func (c Cloud) Seats() bool { return c.Shared || c.Movable }

// Spec is what a NIC of the network is asked for, with its subnet left open.
func (c Cloud) Spec() CloudSpec {
	return CloudSpec{
		Subnets: slices.Clone(c.Subnets), Pick: c.Pick, Groups: slices.Clone(c.Groups), IPv6: c.IPv6,
		Prefixes: c.Prefixes, PublicIP: c.PublicIP, Forwards: c.Forwards, Tags: maps.Clone(c.Tags), Trunk: c.Trunk,
		Floating: slices.Clone(c.Floating),
	}
}

// Made says whether a NIC of the spec, be its subnet chosen or not, is one as the
// network makes them now. Tags say nothing of that: they are for people.
func (c Cloud) Made(s CloudSpec) bool {
	if s.Subnet != "" && !slices.Contains(c.Subnets, s.Subnet) || s.Subnet == "" && !slices.Equal(c.Subnets, s.Subnets) {
		return false
	}
	return slices.Equal(c.Groups, s.Groups) && c.IPv6 == s.IPv6 && c.Prefixes == s.Prefixes &&
		c.PublicIP == s.PublicIP && c.Forwards == s.Forwards && c.Trunk == s.Trunk && slices.Equal(c.Floating, s.Floating)
}
