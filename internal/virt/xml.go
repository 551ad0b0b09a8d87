package virt

import (
	"encoding/xml"
	"fmt"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/nicferry/nicferry/nic"
)

// MarshalInterface writes the interface as libvirt's XML. libvirt chooses the
// PCI address where the interface has none. The error is ErrInvalid.
func MarshalInterface(i Interface) (string, error) {
	if err := i.Port.Check(); err != nil {
		return "", fmt.Errorf("describe interface %s: %w: %w", i.Alias, ErrInvalid, err)
	}
	if err := checkAlias(i.Alias); err != nil {
		return "", fmt.Errorf("describe interface: %w", err)
	}
	if i.MAC.IsZero() || i.MTU < 0 {
		return "", fmt.Errorf("describe interface %s: %w: it needs a MAC, and an MTU of 0 or more", i.Alias, ErrInvalid)
	}
	x := libvirtxml.DomainInterface{
		Alias:     &libvirtxml.DomainAlias{Name: i.Alias},
		MAC:       &libvirtxml.DomainInterfaceMAC{Address: i.MAC.String()},
		Model:     &libvirtxml.DomainInterfaceModel{Type: string(nic.ModelVirtio)},
		Source:    source(i.Port),
		Bandwidth: bandwidth(i.Port),
		// It is never booted from, and a ROM costs the guest memory and a file.
		ROM: &libvirtxml.DomainROM{Enabled: "no"},
	}
	if i.Port.Model != "" {
		x.Model.Type = string(i.Port.Model)
	}
	if i.Port.Kind == nic.PortOVS {
		x.VirtualPort = &libvirtxml.DomainInterfaceVirtualPort{Params: &libvirtxml.DomainInterfaceVirtualPortParams{
			OpenVSwitch: &libvirtxml.DomainInterfaceVirtualPortParamsOpenVSwitch{},
		}}
	}
	if i.Port.VLAN != 0 {
		x.VLan = &libvirtxml.DomainInterfaceVLan{Tags: []libvirtxml.DomainInterfaceVLanTag{{ID: uint(i.Port.VLAN)}}}
	}
	if i.Port.Queues > 1 {
		x.Driver = &libvirtxml.DomainInterfaceDriver{Queues: uint(i.Port.Queues)}
	}
	if i.Port.Filter != "" {
		x.FilterRef = &libvirtxml.DomainInterfaceFilterRef{Filter: i.Port.Filter}
	}
	if i.MTU > 0 {
		x.MTU = &libvirtxml.DomainInterfaceMTU{Size: uint(i.MTU)}
	}
	if i.LinkDown {
		x.Link = &libvirtxml.DomainInterfaceLink{State: "down"}
	}
	if i.Address != "" {
		address, err := parseAddress(i.Address)
		if err != nil {
			return "", fmt.Errorf("describe interface %s: %w", i.Alias, err)
		}
		x.Address = &libvirtxml.DomainAddress{PCI: address}
	}
	text, err := x.Marshal()
	if err != nil {
		return "", fmt.Errorf("describe interface %s: %w", i.Alias, err)
	}
	return text, nil
}

func source(p nic.Port) *libvirtxml.DomainInterfaceSource {
	switch p.Kind {
	case nic.PortNetwork:
		return &libvirtxml.DomainInterfaceSource{Network: &libvirtxml.DomainInterfaceSourceNetwork{Network: p.Name}}
	case nic.PortMacvtap:
		return &libvirtxml.DomainInterfaceSource{Direct: &libvirtxml.DomainInterfaceSourceDirect{Dev: p.Name, Mode: "bridge"}}
	default:
		return &libvirtxml.DomainInterfaceSource{Bridge: &libvirtxml.DomainInterfaceSourceBridge{Bridge: p.Name}}
	}
}

func bandwidth(p nic.Port) *libvirtxml.DomainInterfaceBandwidth {
	in, out := rate(p.Inbound), rate(p.Outbound)
	if in == nil && out == nil {
		return nil
	}
	return &libvirtxml.DomainInterfaceBandwidth{Inbound: in, Outbound: out}
}

func rate(r nic.Rate) *libvirtxml.DomainInterfaceBandwidthParams {
	if r.Average == 0 {
		return nil
	}
	params := &libvirtxml.DomainInterfaceBandwidthParams{Average: &r.Average}
	if r.Peak != 0 {
		params.Peak = &r.Peak
	}
	if r.Burst != 0 {
		params.Burst = &r.Burst
	}
	return params
}

// checkAlias holds an alias against what libvirt keeps: only those that begin
// with "ua-" are in the stored definition too.
func checkAlias(alias string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	if !strings.HasPrefix(alias, "ua-") || strings.Trim(alias, allowed) != "" {
		return fmt.Errorf("alias %q: %w: want ua- and then letters, digits, - and _", alias, ErrInvalid)
	}
	return nil
}

// UnmarshalInterface reads one interface from libvirt's XML. What cannot be
// expressed in our words, such as a port of another kind, is left zero.
func UnmarshalInterface(text string) (Interface, error) {
	var x libvirtxml.DomainInterface
	if err := x.Unmarshal(text); err != nil {
		return Interface{}, fmt.Errorf("read interface's XML: %w", err)
	}
	var h hint
	if err := xml.Unmarshal([]byte(text), &h); err != nil {
		return Interface{}, fmt.Errorf("read interface's XML: %w", err)
	}
	return read(x, h), nil
}

// A hint is what libvirtxml drops: a running interface of a libvirt network
// that stands for a bridge is told as one of type bridge with a network.
type hint struct {
	Source struct {
		Network string `xml:"network,attr"`
	} `xml:"source"`
}

func read(x libvirtxml.DomainInterface, h hint) Interface {
	i := Interface{Port: readPort(x, h)}
	if x.Alias != nil {
		i.Alias = x.Alias.Name
	}
	if x.MAC != nil {
		i.MAC, _ = nic.ParseMAC(x.MAC.Address) // zero is "not known"
	}
	if x.MTU != nil {
		i.MTU = int(x.MTU.Size)
	}
	if x.Link != nil {
		i.LinkDown = x.Link.State == "down"
	}
	if x.Target != nil {
		i.Target = x.Target.Dev
	}
	if x.Address != nil {
		i.Address = formatAddress(x.Address.PCI)
	}
	return i
}

func readPort(x libvirtxml.DomainInterface, h hint) nic.Port {
	var p nic.Port
	switch s := x.Source; {
	case s == nil:
	case h.Source.Network != "":
		p.Kind, p.Name = nic.PortNetwork, h.Source.Network
	case s.Bridge != nil:
		p.Kind, p.Name = nic.PortBridge, s.Bridge.Bridge
		if v := x.VirtualPort; v != nil && v.Params != nil && v.Params.OpenVSwitch != nil {
			p.Kind = nic.PortOVS
		}
	case s.Direct != nil:
		p.Kind, p.Name = nic.PortMacvtap, s.Direct.Dev
	}
	if x.VLan != nil && len(x.VLan.Tags) == 1 && p.Kind == nic.PortOVS {
		p.VLAN = int(x.VLan.Tags[0].ID)
	}
	if x.Model != nil {
		p.Model = nic.Model(x.Model.Type)
	}
	if x.Driver != nil {
		p.Queues = int(x.Driver.Queues)
	}
	if x.FilterRef != nil {
		p.Filter = x.FilterRef.Filter
	}
	if x.Bandwidth != nil {
		p.Inbound, p.Outbound = readRate(x.Bandwidth.Inbound), readRate(x.Bandwidth.Outbound)
	}
	return p
}

func readRate(params *libvirtxml.DomainInterfaceBandwidthParams) nic.Rate {
	var r nic.Rate
	if params == nil {
		return r
	}
	for _, f := range []struct {
		to   *int
		from *int
	}{{&r.Average, params.Average}, {&r.Peak, params.Peak}, {&r.Burst, params.Burst}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	return r
}
