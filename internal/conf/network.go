package conf

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// network is a network as it is written.
type network struct {
	Name       string       `yaml:"name,required"`
	Provider   string       `yaml:"provider,required"`
	Addressing string       `yaml:"addressing,required"`
	Tenants    []string     `yaml:"tenants"`
	Space      string       `yaml:"space"`
	MTU        int          `yaml:"mtu"`
	Hold       nic.Duration `yaml:"hold"`
	Preplug    nic.Duration `yaml:"preplug"`
	Pool       *pool        `yaml:"pool"`
	Cooldown   nic.Duration `yaml:"cooldown"`
	Keep       nic.Duration `yaml:"keep"`
	Subnets    []subnet     `yaml:"subnets"`
	Routes     []route      `yaml:"routes"`
	IPv6       string       `yaml:"ipv6"`
	DHCPRoutes bool         `yaml:"dhcpRoutes"`
	DNS        dns          `yaml:"dns"`
	Probe      string       `yaml:"probe"`
	Announce   bool         `yaml:"announce"`
	// CheckGateway asks on the wire whether gateways are there.
	CheckGateway bool `yaml:"checkGateway"`
	Metadata     bool `yaml:"metadata"`
	// ImageLabels lets labels that come from the image count.
	ImageLabels bool           `yaml:"imageLabels"`
	Veth        *veth          `yaml:"veth"`
	Macvlan     *macvlan       `yaml:"macvlan"`
	Port        *portSection   `yaml:"port"`
	AWS         *awsSection    `yaml:"aws"`
	Aliyun      *aliyunSection `yaml:"aliyun"`
	SRIOV       *sriovSection  `yaml:"sriov"`
}

// pool is what each node has in reserve.
type pool struct {
	Min  int          `yaml:"min"`
	Max  int          `yaml:"max"`
	Idle nic.Duration `yaml:"idle"`
}

type subnet struct {
	Prefix  netip.Prefix `yaml:"prefix,required"`
	Gateway netip.Addr   `yaml:"gateway"`
	Ranges  []nic.Range  `yaml:"ranges"`
	Exclude []nic.Range  `yaml:"exclude"`
}

type route struct {
	To  netip.Prefix `yaml:"to,required"`
	Via netip.Addr   `yaml:"via,required"`
}

type dns struct {
	Servers []netip.Addr `yaml:"servers"`
	Search  []string     `yaml:"search"`
}

type veth struct {
	Bridge  string   `yaml:"bridge,required"`
	Owned   bool     `yaml:"owned"`
	Uplinks []string `yaml:"uplinks"`
	// Isolation lets nothing leave a container but under its own addresses.
	Isolation onOff `yaml:"isolation"`
	// AlsoAddrs may be sent under besides: addresses or prefixes.
	AlsoAddrs []string `yaml:"alsoAddrs"`
}

type macvlan struct {
	Parent string `yaml:"parent,required"`
}

// toNIC gives a checked network in the program's words.
func (n network) toNIC() nic.Network {
	to := nic.Network{
		Name: n.Name, Provider: n.Provider, Tenants: n.Tenants, Addressing: nic.Addressing(n.Addressing),
		Space: n.Space, MTU: n.MTU, Hold: n.Hold, Preplug: n.Preplug, Cooldown: n.Cooldown, Keep: n.Keep, IPv6: nic.IPv6Mode(n.IPv6), DHCPRoutes: n.DHCPRoutes,
		DNS: nic.DNS(n.DNS), Probe: nic.Probe(n.Probe), Silent: !n.Announce, UncheckedGateway: !n.CheckGateway, Metadata: n.Metadata, ImageLabels: n.ImageLabels,
	}
	if n.Pool != nil {
		to.Pool = nic.Pool{Min: n.Pool.Min, Max: max(n.Pool.Min, n.Pool.Max), Idle: n.Pool.Idle}
	}
	for _, s := range n.Subnets {
		to.Subnets = append(to.Subnets, nic.Subnet(s))
	}
	for _, r := range n.Routes {
		to.Routes = append(to.Routes, nic.Route(r))
	}
	switch {
	case n.Veth != nil:
		to.Device = nic.Device{Kind: nic.Veth, MTU: n.MTU, Bridge: nic.Bridge{
			Name: n.Veth.Bridge, Owned: n.Veth.Owned, Uplinks: n.Veth.Uplinks,
		}}
		to.Isolated = bool(n.Veth.Isolation)
		for _, text := range n.Veth.AlsoAddrs {
			if p, err := parseSource(text); err == nil {
				to.AlsoAddrs = append(to.AlsoAddrs, p)
			}
		}
	case n.Macvlan != nil:
		to.Device = nic.Device{Kind: nic.Macvlan, MTU: n.MTU, Parent: n.Macvlan.Parent}
	case n.Port != nil:
		to.Port = n.Port.toNIC()
	case len(n.clouds()) > 0:
		to.Cloud = n.clouds()[0].toNIC()
	case n.SRIOV != nil:
		to.Functions = n.SRIOV.toNIC()
	}
	return to
}

// parseSource reads a prefix, or an address as one of its own.
func parseSource(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" && !addr.Is4In6() {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || p.Addr().Is4In6():
		return p, fmt.Errorf("%s; want an address or a prefix, such as 10.77.0.100 or fd77::/120", quote(text))
	case p.Masked() != p:
		return p, fmt.Errorf("%s has bits behind its length; want %s", quote(text), p.Masked())
	}
	return p, nil
}

// hasIPv6 says whether a container of the network would have IPv6.
func (n network) hasIPv6() bool {
	for _, s := range n.Subnets {
		if s.Prefix.IsValid() && s.Prefix.Addr().Is6() {
			return true
		}
	}
	return n.IPv6 != "" || slices.ContainsFunc(n.clouds(), func(s cloudSection) bool { return s.IPv6 })
}
