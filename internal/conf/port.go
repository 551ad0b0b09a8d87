package conf

import "github.com/nicferry/nicferry/nic"

// portSection is how a hypervisor plugs a network's NICs in, as it is written:
// exactly one of the first four.
type portSection struct {
	Bridge   string `yaml:"bridge"`
	OVS      string `yaml:"ovs"`
	Network  string `yaml:"network"`
	Macvtap  string `yaml:"macvtap"`
	VLAN     int    `yaml:"vlan"`
	Model    string `yaml:"model"`
	Queues   int    `yaml:"queues"`
	Filter   string `yaml:"filter"`
	Inbound  rate   `yaml:"inbound"`
	Outbound rate   `yaml:"outbound"`
}

type rate struct {
	Average int `yaml:"average"` // KiB/s
	Peak    int `yaml:"peak"`    // KiB/s
	Burst   int `yaml:"burst"`   // KiB
}

// namedSwitch is one of the four, with its name if the section gives it.
type namedSwitch struct {
	kind nic.PortKind
	name string
}

func (s portSection) switches() []namedSwitch {
	return []namedSwitch{{nic.PortBridge, s.Bridge}, {nic.PortOVS, s.OVS}, {nic.PortNetwork, s.Network}, {nic.PortMacvtap, s.Macvtap}}
}

// toNIC gives a checked section in the program's words; it has one name.
func (s portSection) toNIC() nic.Port {
	for _, n := range s.switches() {
		if n.name != "" {
			return s.as(n.kind, n.name)
		}
	}
	return nic.Port{}
}

// as is the section with one of its switches.
func (s portSection) as(kind nic.PortKind, name string) nic.Port {
	return nic.Port{
		Kind: kind, Name: name, VLAN: s.VLAN, Model: nic.Model(s.Model), Queues: s.Queues, Filter: s.Filter,
		Inbound: nic.Rate(s.Inbound), Outbound: nic.Rate(s.Outbound),
	}
}
