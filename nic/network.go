package nic

import (
	"fmt"
	"net/netip"
)

// Addressing says where the addresses of a network's containers come from.
type Addressing string

// The address sources.
const (
	// AddrDHCP: a DHCP server on the wire gives them; we record, never reserve.
	AddrDHCP Addressing = "dhcp"
	// AddrIPAM: the controller gives them out of the network's ranges.
	AddrIPAM Addressing = "ipam"
	// AddrProvider: whoever makes the NIC gives them, as clouds do; we record,
	// never reserve.
	AddrProvider Addressing = "provider"
)

// A Network is a named template in the controller's config that NICs come
// from. (A Docker network is always called a Docker network.)
type Network struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	// Tenants may use the network; none named is the default tenant alone.
	Tenants    []string   `json:"tenants,omitempty"`
	Addressing Addressing `json:"addressing"`
	// Space is the address space: an address has one holder per space.
	// Networks that may reuse each other's addresses have different spaces.
	Space   string   `json:"space"`
	Subnets []Subnet `json:"subnets,omitempty"`
	Routes  []Route  `json:"routes,omitempty"`
	// MTU in bytes; 0 leaves the kernel's.
	MTU int `json:"mtu,omitempty"`
	// IPv6 is how containers get IPv6 addresses besides those of the subnets.
	IPv6 IPv6Mode `json:"ipv6,omitempty"`
	// DHCPRoutes: take the routes that a DHCP server gives (options 121, 249
	// and 33). Otherwise they are ignored and told: a hostile server could
	// draw all traffic to itself with them.
	DHCPRoutes bool `json:"dhcpRoutes,omitempty"`
	// DNS is written into the container, before what DHCP says.
	DNS DNS `json:"dns,omitzero"`
	// Probe is how an address is checked for another holder on the wire.
	Probe Probe `json:"probe,omitempty"`
	// Silent: do not announce addresses by gratuitous ARP and unsolicited
	// neighbour advertisement. Some sites' intrusion detection minds them.
	Silent bool `json:"silent,omitempty"`
	// UncheckedGateway: do not ask on the wire whether gateways are there. Some
	// answer no request of a host they do not know yet.
	UncheckedGateway bool `json:"uncheckedGateway,omitempty"`
	// Metadata: containers may reach the cloud's metadata addresses. Otherwise
	// those are blackholed in them, since the instance's role is behind.
	Metadata bool `json:"metadata,omitempty"`
	// Isolated: nothing leaves a container but under its NIC's own MAC and addresses.
	// The node sees to that where it makes the NIC's port on a switch, which is a
	// veth's; elsewhere it is false.
	Isolated bool `json:"isolated,omitempty"`
	// AlsoAddrs are further addresses that isolated containers may send under.
	AlsoAddrs []netip.Prefix `json:"alsoAddrs,omitempty"`
	// ImageLabels: labels that come from the image count too. Otherwise only
	// those of docker run do.
	ImageLabels bool `json:"imageLabels,omitempty"`
	// Hold is how long a stopped container keeps its NIC. It keeps its
	// address and MAC for as long as it exists.
	Hold Duration `json:"hold"`
	// Preplug is how long after its creation a container that is not started
	// keeps a NIC that is plugged in ahead; 0 is to plug in at the start.
	Preplug Duration `json:"preplug,omitempty"`
	// Cooldown is how long the addresses and the MAC of a container that is
	// gone are given to no other: its peers may still know them as its own.
	Cooldown Duration `json:"cooldown,omitempty"`
	// Keep is how long they are kept for a container of the same name on the
	// same node; once cooled down, only as long as there are others to give.
	Keep Duration `json:"keep,omitempty"`
	// Pool is what each node has of the network in reserve.
	Pool Pool `json:"pool,omitzero"`
	// Device is the shape of the NICs where the node makes them: kind, and
	// bridge or parent. Its MAC is always empty.
	Device Device `json:"device,omitzero"`
	// Port is how a hypervisor plugs the NICs in; zero elsewhere.
	Port Port `json:"port,omitzero"`
	// Cloud is where a cloud makes the NICs; zero elsewhere.
	Cloud Cloud `json:"cloud,omitzero"`
	// Functions are the VFs that containers get; zero elsewhere.
	Functions Functions `json:"functions,omitzero"`
}

// IPv6Mode is how containers get IPv6 addresses from the wire.
type IPv6Mode string

// The modes. Router advertisements are ignored in all but the last two.
const (
	IPv6Subnets IPv6Mode = ""      // only from the network's subnets
	IPv6SLAAC   IPv6Mode = "slaac" // by router advertisement
	IPv6DHCP    IPv6Mode = "dhcp"  // by DHCPv6, routes by router advertisement
)

// Probe is how an address is checked for another holder on the wire.
type Probe string

// The ways to probe.
const (
	// ProbeOptimistic: the address is live at once, probed beside it, and
	// withdrawn with a condition if somebody else answers.
	ProbeOptimistic Probe = "optimistic"
	// ProbeStrict: probed first, for some seconds (RFC 5227; DAD for IPv6).
	ProbeStrict Probe = "strict"
	// ProbeOff: taken as free.
	ProbeOff Probe = "off"
)

// DNS is a resolver's settings.
type DNS struct {
	Servers []netip.Addr `json:"servers,omitempty"`
	Search  []string     `json:"search,omitempty"`
}

// A Subnet is one prefix of a network, and what of it is ours to give.
type Subnet struct {
	Prefix  netip.Prefix `json:"prefix"`
	Gateway netip.Addr   `json:"gateway,omitzero"`
	// Ranges are given out from, in order. A container may ask by label for
	// any other address of the prefix that is not excluded.
	Ranges  []Range `json:"ranges,omitempty"`
	Exclude []Range `json:"exclude,omitempty"`
}

// A Range is the addresses First to Last, both included.
type Range struct {
	First netip.Addr `json:"first"`
	Last  netip.Addr `json:"last"`
}

// Contains says whether addr lies in the range.
func (r Range) Contains(addr netip.Addr) bool {
	return addr.BitLen() == r.First.BitLen() && addr.Compare(r.First) >= 0 && addr.Compare(r.Last) <= 0
}

// Overlaps says whether the ranges share an address.
func (r Range) Overlaps(o Range) bool { return r.Contains(o.First) || o.Contains(r.First) }

// String is "first-last".
func (r Range) String() string { return fmt.Sprintf("%s-%s", r.First, r.Last) }

// A Route is a route in the container besides those of its own subnets.
type Route struct {
	To  netip.Prefix `json:"to"`
	Via netip.Addr   `json:"via"`
}

// HasIPv6 says whether the network carries IPv6. Elsewhere IPv6 stays off in
// the container.
func (n Network) HasIPv6() bool {
	for _, s := range n.Subnets {
		if s.Prefix.Addr().Is6() {
			return true
		}
	}
	return n.IPv6 != IPv6Subnets || n.Cloud.IPv6
}

// SubnetOf returns the subnet that addr belongs to.
func (n Network) SubnetOf(addr netip.Addr) (Subnet, bool) {
	for _, s := range n.Subnets {
		if s.Prefix.Contains(addr) {
			return s, true
		}
	}
	return Subnet{}, false
}
