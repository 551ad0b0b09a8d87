package nic

import "fmt"

// PortKind is the kind of switch that a hypervisor plugs a NIC into.
type PortKind string

// The kinds of switch.
const (
	PortBridge  PortKind = "bridge"  // a Linux bridge on the hypervisor's host
	PortOVS     PortKind = "ovs"     // an Open vSwitch bridge there
	PortNetwork PortKind = "network" // a libvirt network, by its name
	PortMacvtap PortKind = "macvtap" // straight onto a host interface
)

// Model is the card that the guest sees.
type Model string

// The models. A q35 machine can hot-plug both; virtio is the faster by far.
const (
	ModelVirtio Model = "virtio"
	ModelE1000e Model = "e1000e"
)

// A Port is how a hypervisor plugs a NIC into a switch and into a guest. It is
// part of a Spec where the provider is a hypervisor, and zero elsewhere.
type Port struct {
	Kind PortKind `json:"kind,omitempty"`
	// Name is the bridge, the libvirt network, or the parent of a macvtap.
	Name string `json:"name,omitempty"`
	// VLAN is the tag, 1 to 4094, that an OVS port gives the guest's frames;
	// 0 is none.
	VLAN int `json:"vlan,omitempty"`
	// Model is what the guest sees; empty is virtio.
	Model Model `json:"model,omitempty"`
	// Queues is how many pairs of queues a virtio card has; 0 is one.
	Queues int `json:"queues,omitempty"`
	// Filter is the libvirt network filter that keeps the guest from sending
	// under foreign addresses, such as clean-traffic; empty is none.
	Filter string `json:"filter,omitempty"`
	// Inbound and Outbound limit the rate of what the guest gets and sends.
	Inbound  Rate `json:"inbound,omitzero"`
	Outbound Rate `json:"outbound,omitzero"`
}

// A Rate is a limit as libvirt shapes traffic; zero is none.
type Rate struct {
	Average int `json:"average,omitempty"` // KiB/s
	Peak    int `json:"peak,omitempty"`    // KiB/s
	Burst   int `json:"burst,omitempty"`   // KiB
}

// MaxQueues is the most pairs of queues that a tap of the kernel has
// (MAX_TAP_QUEUES in drivers/net/tap.c).
const MaxQueues = 256

// Check returns Faults, with every fault of the port, or nil.
func (p Port) Check() error {
	var faults Faults
	switch p.Kind {
	case PortBridge, PortOVS, PortMacvtap:
		faults.AddErr(string(p.Kind), CheckInterfaceName(p.Name))
	case PortNetwork:
		faults.AddErr(string(p.Kind), CheckName("libvirt network", p.Name))
	default:
		faults.Add("kind", "%q: want %s, %s, %s or %s", p.Kind, PortBridge, PortOVS, PortNetwork, PortMacvtap)
	}
	if p.VLAN < 0 || p.VLAN > 4094 {
		faults.Add("vlan", "%d; want 1 to 4094, or 0 for none", p.VLAN)
	} else if p.VLAN != 0 && p.Kind != PortOVS {
		faults.Add("vlan", "only an Open vSwitch bridge tags frames at the port")
	}
	if p.Model != "" && p.Model != ModelVirtio && p.Model != ModelE1000e {
		faults.Add("model", "%q: want %s or %s", p.Model, ModelVirtio, ModelE1000e)
	}
	if p.Queues < 0 || p.Queues > MaxQueues {
		faults.Add("queues", "%d; want 1 to %d, or 0 for one", p.Queues, MaxQueues)
	} else if p.Queues > 1 && p.Model == ModelE1000e {
		faults.Add("queues", "only a virtio card has more than one pair")
	}
	if p.Filter != "" {
		faults.AddErr("filter", CheckName("filter", p.Filter))
		if p.Kind == PortMacvtap || p.Kind == PortOVS {
			faults.Add("filter", "libvirt filters on Linux bridges only, not on %s", p.Kind)
		}
	}
	p.Inbound.check(&faults, "inbound")
	p.Outbound.check(&faults, "outbound")
	return faults.Err()
}

func (r Rate) check(faults *Faults, field string) {
	if r.Average < 0 || r.Peak < 0 || r.Burst < 0 {
		faults.Add(field, "negative; want KiB/s and KiB, 0 for no limit")
	}
	if r.Average == 0 && (r.Peak != 0 || r.Burst != 0) {
		faults.Add(field, "peak and burst need an average")
	}
}

// String reads "bridge br0" or "ovs br1 vlan 100".
func (p Port) String() string {
	if p.VLAN != 0 {
		return fmt.Sprintf("%s %s vlan %d", p.Kind, p.Name, p.VLAN)
	}
	return fmt.Sprintf("%s %s", p.Kind, p.Name)
}
