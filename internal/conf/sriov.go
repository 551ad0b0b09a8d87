package conf

import (
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

// How a container has a virtual function, as it is written.
const (
	modeNetdev = "netdev" // as an interface
	modeVFIO   = "vfio"   // by a program of its own, without the kernel
)

// fallbackRefuse is the word for no fallback.
const fallbackRefuse = "refuse"

// vlan8021Q is the protocol of a customer tag, which nic has no word for.
const vlan8021Q = "802.1Q"

// sriovSection is which virtual functions a network's containers get, as it is
// written: of pfs one each, or of bond two as one.
type sriovSection struct {
	PFs        []string     `yaml:"pfs"`
	Bond       *bondSection `yaml:"bond"`
	VLAN       int          `yaml:"vlan"`
	QoS        int          `yaml:"qos"`
	Protocol   string       `yaml:"protocol"`
	SpoofCheck onOff        `yaml:"spoofCheck"`
	Trust      onOff        `yaml:"trust"`
	Link       string       `yaml:"link"`
	Rate       *vfRate      `yaml:"rate"`
	Mode       string       `yaml:"mode"`
	Fallback   []string     `yaml:"fallback"`
}

// bondSection is what a bond is made of.
type bondSection struct {
	Mode    string       `yaml:"mode"`
	A       []string     `yaml:"a,required"`
	B       []string     `yaml:"b,required"`
	Monitor nic.Duration `yaml:"monitor"`
}

// vfRate is in Mbit/s.
type vfRate struct {
	Min int `yaml:"min"`
	Max int `yaml:"max"`
}

func (s *sriovSection) setDefaults() {
	s.Protocol, s.SpoofCheck, s.Mode = vlan8021Q, true, modeNetdev
}

func (b *bondSection) setDefaults() {
	b.Mode, b.Monitor = string(nic.BondActiveBackup), nic.Duration(100*time.Millisecond)
}

// sides are the lists of selectors, with the fields that they stand in.
func (s sriovSection) sides() (lists [][]string, fields []string) {
	if s.Bond != nil {
		return [][]string{s.Bond.A, s.Bond.B}, []string{"bond.a", "bond.b"}
	}
	return [][]string{s.PFs}, []string{"pfs"}
}

// toNIC gives a checked section in the program's words.
func (s sriovSection) toNIC() nic.Functions {
	f := nic.Functions{UserSpace: s.Mode == modeVFIO, Set: s.settings()}
	lists, _ := s.sides()
	for _, list := range lists {
		var side []string
		for _, word := range list {
			if sel, err := sriov.ParseSelector(word); err == nil {
				side = append(side, sel.String())
			}
		}
		f.PFs = append(f.PFs, side)
	}
	if s.Bond != nil {
		f.Bond, f.Monitor = nic.BondMode(s.Bond.Mode), s.Bond.Monitor
	}
	for _, word := range s.Fallback {
		if word != fallbackRefuse {
			f.Fallback = append(f.Fallback, nic.DeviceKind(word))
		}
	}
	return f
}

// settings are what PFs set. Spoof check and trust are always said: what a VF's last
// owner had is nobody's default.
func (s sriovSection) settings() nic.VFSettings {
	set := nic.VFSettings{SpoofCheck: new(bool(s.SpoofCheck)), Trust: new(bool(s.Trust)), Link: nic.VFLink(s.Link)}
	if s.VLAN != 0 {
		set.VLAN = &nic.VFVLAN{ID: s.VLAN, QoS: s.QoS}
		if s.Protocol != vlan8021Q {
			set.VLAN.Protocol = s.Protocol
		}
	}
	if s.Rate != nil && *s.Rate != (vfRate{}) {
		set.Rate = &nic.VFRate{Min: s.Rate.Min, Max: s.Rate.Max}
	}
	return set
}
