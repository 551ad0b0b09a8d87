package nic

import (
	"net/netip"
	"reflect"
	"time"
)

// Wanted is what the controller wants of one NIC on one node. The agent lists
// it, works towards it, and never edits it.
type Wanted struct {
	// NIC is empty for a claim that has none at present: there is nothing to
	// do, but the claim is to be released when its container is gone.
	NIC ID `json:"nic,omitempty"`
	// Gone: take the NIC out of wherever it is, wipe it, remove what was made
	// for it, and report it clean.
	Gone bool `json:"gone,omitempty"`
	// Moves, of a NIC that is gone: the claim goes on elsewhere. Its addresses stay
	// its own: no lease is given back to its server, and nothing of it is kept here.
	Moves  bool   `json:"moves,omitempty"`
	Device Device `json:"device"`
	// Turn is the NIC's, and comes back in what is said of it.
	Turn uint64 `json:"turn,omitempty"`
	// Claim is the holder. Without one the NIC is kept ready in the host
	// namespace, clean and down, and the rest is empty.
	Claim ClaimID `json:"claim,omitempty"`
	Epoch uint64  `json:"epoch,omitempty"`
	Owner Owner   `json:"owner,omitzero"`
	// Container is the container's name as the claim has it.
	Container string `json:"container,omitempty"`
	Network   string `json:"network,omitempty"`
	Layer3    Layer3 `json:"layer3,omitzero"`
	// Last are the addresses that the claim had where it comes from: servers on
	// the wire are asked for the same ones.
	Last []netip.Prefix `json:"last,omitempty"`
	// Again grows when the node is to look at the NIC once more although
	// nothing else has changed.
	Again int `json:"again,omitempty"`
}

// Layer3 is the addressing that a NIC gets inside the container.
type Layer3 struct {
	// DHCP: ask a DHCPv4 server, with the claim's client id.
	DHCP  bool           `json:"dhcp,omitempty"`
	Addrs []netip.Prefix `json:"addrs,omitempty"`
	// Gateways are the next hops of the default routes, one per family; used
	// with DefaultRoute, and with SourceRoutes in the NIC's own table.
	Gateways []netip.Addr `json:"gateways,omitempty"`
	Routes   []Route      `json:"routes,omitempty"`
	// DefaultRoute: this NIC carries the container's default routes.
	DefaultRoute bool `json:"defaultRoute,omitempty"`
	// IPv6: the network has IPv6. Otherwise it stays off on this NIC.
	IPv6 bool `json:"ipv6,omitempty"`
	// IPv6Mode is how the NIC gets IPv6 addresses from the wire.
	IPv6Mode IPv6Mode `json:"ipv6Mode,omitempty"`
	// DHCPRoutes, DNS, Probe, Silent, UncheckedGateway, Metadata, Isolated, AlsoAddrs:
	// as in Network.
	DHCPRoutes       bool           `json:"dhcpRoutes,omitempty"`
	DNS              DNS            `json:"dns,omitzero"`
	Probe            Probe          `json:"probe,omitempty"`
	Silent           bool           `json:"silent,omitempty"`
	UncheckedGateway bool           `json:"uncheckedGateway,omitempty"`
	Metadata         bool           `json:"metadata,omitempty"`
	Isolated         bool           `json:"isolated,omitempty"`
	AlsoAddrs        []netip.Prefix `json:"alsoAddrs,omitempty"`
	// SourceRoutes: replies leave by this NIC if they carry its address. The
	// agent sets it, in containers with several NICs, or with Docker networks.
	SourceRoutes bool `json:"sourceRoutes,omitempty"`
	// Own are addresses that the claim had until a moment ago: the kernel does not
	// ask whether somebody else has them. The agent sets it.
	Own []netip.Prefix `json:"-"`
}

// ObservedState is how far a NIC is on its node.
type ObservedState string

// The states that a node reports.
const (
	ObservedWaiting ObservedState = "waiting" // not in the host namespace yet
	ObservedMade    ObservedState = "made"    // in the host namespace, in no container
	ObservedIn      ObservedState = "in"      // in the container, configured
	ObservedClean   ObservedState = "clean"   // nothing of it is left
)

// Observed is what a node last said of one NIC on it.
type Observed struct {
	NIC   ID            `json:"nic"`
	Claim ClaimID       `json:"claim,omitempty"`
	Epoch uint64        `json:"epoch,omitempty"`
	Turn  uint64        `json:"turn,omitempty"`
	State ObservedState `json:"state"`
	// Running: the container that owns the claim runs.
	Running bool `json:"running,omitempty"`
	// Unstarted: it has never run.
	Unstarted bool           `json:"unstarted,omitempty"`
	MAC       MAC            `json:"mac,omitzero"`
	Addrs     []netip.Prefix `json:"addrs,omitempty"`
	// LeaseEnds is when the DHCP lease runs out unless renewed.
	LeaseEnds  time.Time   `json:"leaseEnds,omitzero"`
	Conditions []Condition `json:"conditions,omitempty"`
	// Steps are what the node has done to get the NIC where it is. A controller
	// whose API level is 0 does not know them.
	Steps []NodeStep `json:"steps,omitempty" maxItems:"16"`
	// Former is how each VF of the recipe was set before, in the recipe's order. The
	// node sets nothing before the recipe has it. A controller whose API level is below
	// 2 does not know it.
	Former []VFWas `json:"former,omitempty" maxItems:"8"`
	// Device is what a program in the container opens to drive the NIC itself, such as
	// /dev/vfio/12; empty for a NIC with an interface. A controller whose API level is
	// below 2 does not know it.
	Device string    `json:"device,omitempty" maxLength:"64"`
	At     time.Time `json:"at"`
}

// Repeats says whether a node says the same as in an earlier word about the NIC,
// whenever it said so, and however long its steps took. The lease's end moves
// with each renewal, and is news.
func (o Observed) Repeats(earlier Observed) bool {
	o.At, earlier.At = time.Time{}, time.Time{}
	o.Steps, earlier.Steps = nil, nil
	return reflect.DeepEqual(o, earlier)
}

// A NodeReport carries what changed on a node since its last report.
type NodeReport struct {
	Session uint64     `json:"session"`
	NICs    []Observed `json:"nics"`
	// Census is a fresh look at the whole node; nil for none this time.
	Census *Census `json:"census,omitempty"`
	// Cards are the node's, when anything of them has changed; nil for no news.
	Cards *[]Card `json:"cards,omitempty" maxItems:"64"`
}
