package conf

import (
	"regexp"

	"github.com/nicferry/nicferry/nic"
)

// How a network of a cloud picks a subnet, as it is written.
const (
	pickMostFree = "most-free"
	pickOrdered  = "ordered"
	pickRandom   = "random"
)

// What of a network of a cloud goes along when a container moves.
const (
	movesNIC     = "nic"
	movesAddress = "address"
)

// How many containers a NIC of a cloud is for.
const (
	modeDedicated = "dedicated"
	modeShared    = "shared"
	modeTrunk     = "trunk" // one, and it has no card of its own
)

// A vendor is one whose cloud makes networks' NICs: its words and its bounds.
type vendor struct {
	// kind is that of its providers, and what the sections about it are called; name is
	// what people call it.
	kind, name string
	// subnets and groups are the fields with the ids of these.
	subnets, groups               string
	subnetID, groupID, instanceID shape
	// floating is the field with the ids of floating addresses; "" where there are none.
	floating     string
	floatingID   shape
	region, zone shape
	// endpoint is an example of one, and credentials are where they come from.
	endpoint, credentials string
	// grouped: no NIC is without a group that is named, since none is the default.
	grouped bool
	mtu     int
	// trunks: an instance can have many NICs on one card.
	trunks bool
	// prefixes is more than any NIC can have.
	prefixes int
	tags     tagRules
}

// A shape is what a word must look like, such as the id of a subnet, with an example.
type shape struct {
	*regexp.Regexp
	example string
}

// tagRules are what a vendor takes for tags.
type tagRules struct {
	most, own  int // of a NIC, and of them ours
	value      int // characters
	reserved   []string
	notInTexts []string
}

// vendors are all there are.
func vendors() []vendor { return []vendor{amazon(), alibaba()} }

// vendorOf is the one of a provider's kind; nil if its NICs are made in no cloud.
func vendorOf(kind string) *vendor {
	for _, v := range vendors() {
		if v.kind == kind {
			return &v
		}
	}
	return nil
}

// A cloudSection is where a cloud makes a network's NICs, whichever cloud.
type cloudSection struct {
	vendor

	Subnets                         []string
	Pick                            string
	Groups                          []string
	IPv6, PublicIP, SourceDestCheck bool
	Prefixes                        int
	Movable, Mode                   string
	Floating                        []string
	Tags                            map[string]string
}

// clouds are the sections of clouds that the network has: one, but for a mistake.
func (n network) clouds() (all []cloudSection) {
	if n.AWS != nil {
		all = append(all, n.AWS.cloud())
	}
	if n.Aliyun != nil {
		all = append(all, n.Aliyun.cloud())
	}
	return all
}

// toNIC gives a checked section in the program's words.
func (s cloudSection) toNIC() nic.Cloud {
	pick := nic.SubnetPick(s.Pick)
	if s.Pick == pickMostFree {
		pick = nic.PickMostFree
	}
	return nic.Cloud{
		Subnets: s.Subnets, Pick: pick, Groups: s.Groups, IPv6: s.IPv6, Prefixes: s.Prefixes, PublicIP: s.PublicIP,
		Forwards: !s.SourceDestCheck, Movable: s.Movable == movesAddress, Shared: s.Mode == modeShared, Trunk: s.Mode == modeTrunk, Floating: s.Floating, Tags: s.Tags,
	}
}

// oneAddress is the setting by which each container gets one further address of a
// NIC, as people write it; "" if it gets all of the NIC.
func (s cloudSection) oneAddress() string {
	switch {
	case s.Mode == modeShared:
		return "mode " + modeShared
	case s.Movable == movesAddress:
		return "movable " + movesAddress
	}
	return ""
}
