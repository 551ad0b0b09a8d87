package conf

import (
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// The limits of an MTU: what each IP version asks of a link at least (RFC 791,
// RFC 8200), and the largest jumbo frame in use.
const (
	minMTU     = 576
	minMTUIPv6 = 1280
	maxMTU     = 9216
)

func (d *doc) checkNetworks(networks []network, providers providerIndex, nodes map[string]Node) {
	names := d.uniqueNames("network")
	cables := newCabling()
	for i, n := range networks {
		path := item("networks", i)
		if d.bad[path] {
			continue
		}
		names(under(path, "name"), n.Name)
		d.checkNetwork(path, n)
		var p *Provider
		if at := under(path, "provider"); d.good(at) {
			p = d.checkProvider(at, n.Provider, providers)
		}
		d.checkGiven(path, n, p)
		d.checkDevice(path, n, p)
		d.checkClouds(path, n, p)
		d.checkSRIOV(path, n, p)
		d.checkCabling(cables, path, n)
	}
	d.checkParents(cables, networks)
	d.checkOverlaps(networks)
	d.checkVFs(networks)
	d.checkCarried(networks, nodes)
}

func (d *doc) checkNetwork(path string, n network) {
	d.faultErr(under(path, "space"), nic.CheckName("space", n.Space))
	switch {
	case n.MTU == 0:
	case n.MTU < minMTU || n.MTU > maxMTU:
		d.fault(under(path, "mtu"), "%d; want %d to %d, or 0 for the kernel's", n.MTU, minMTU, maxMTU)
	case n.MTU < minMTUIPv6 && n.hasIPv6():
		d.fault(under(path, "mtu"), "%d; IPv6 wants at least %d", n.MTU, minMTUIPv6)
	}
	if n.Hold < 0 {
		d.fault(under(path, "hold"), "%s; want 0s or more", n.Hold)
	}
	if n.Preplug < 0 {
		d.fault(under(path, "preplug"), "%s; want 0s or more, 0s to plug in at the start", n.Preplug)
	}
	if n.Cooldown < 0 {
		d.fault(under(path, "cooldown"), "%s; want 0s or more, 0s to give addresses again at once", n.Cooldown)
	}
	if n.Keep < 0 {
		d.fault(under(path, "keep"), "%s; want 0s or more, 0s to keep nothing", n.Keep)
	}
	if n.Pool != nil {
		d.checkPool(under(path, "pool"), *n.Pool)
	}
	d.checkAddressing(path, n)
	for i, s := range n.Subnets {
		d.checkSubnet(item(under(path, "subnets"), i), s)
	}
	d.checkRoutes(path, n)
	d.checkWire(path, n)
}

// maxPool is more NICs than any VM can hold.
const maxPool = 1024

func (d *doc) checkPool(path string, p pool) {
	for _, f := range []struct {
		name  string
		value int
	}{{"min", p.Min}, {"max", p.Max}} {
		if f.value < 0 || f.value > maxPool {
			d.fault(under(path, f.name), "%d; want 0 to %d", f.value, maxPool)
		}
	}
	if at := under(path, "max"); d.given(at) && d.good(at) && d.good(under(path, "min")) && p.Max < p.Min {
		d.fault(at, "%d is less than min, %d", p.Max, p.Min)
	}
	if p.Idle < 0 {
		d.fault(under(path, "idle"), "%s; want 0s or more", p.Idle)
	}
}

// checkWire checks what a network says of its wire: the mode of IPv6, DNS, and
// how addresses are probed.
func (d *doc) checkWire(path string, n network) {
	d.checkOneOf(under(path, "probe"), n.Probe, string(nic.ProbeOptimistic), string(nic.ProbeStrict), string(nic.ProbeOff))
	if at := under(path, "ipv6"); n.IPv6 != "" && d.good(at) {
		d.checkOneOf(at, n.IPv6, string(nic.IPv6SLAAC), string(nic.IPv6DHCP))
		if slices.ContainsFunc(n.Subnets, func(s subnet) bool { return s.Prefix.IsValid() && s.Prefix.Addr().Is6() }) {
			d.fault(at, "the network has an IPv6 subnet: addresses come from that or from the wire, not both")
		}
	}
	if at := under(path, "dhcpRoutes"); n.DHCPRoutes && n.Addressing != string(nic.AddrDHCP) {
		d.fault(at, "only a network with addressing dhcp gets routes from a DHCP server")
	}
	for i, s := range n.DNS.Search {
		d.faultErr(item(under(under(path, "dns"), "search"), i), nic.CheckDomain(s))
	}
}

func (d *doc) checkAddressing(path string, n network) {
	switch nic.Addressing(n.Addressing) {
	case nic.AddrIPAM:
		if len(n.Subnets) == 0 {
			d.fault(under(path, "subnets"), "addressing ipam needs at least one subnet")
		}
	case nic.AddrDHCP:
		for i, s := range n.Subnets {
			d.checkDHCPSubnet(item(under(path, "subnets"), i), s)
		}
	case nic.AddrProvider:
		for i, s := range n.Subnets {
			if at := under(item(under(path, "subnets"), i), "ranges"); len(s.Ranges) > 0 {
				d.fault(at, "is the provider's to say; leave it out, or take addressing ipam")
			}
		}
	default:
		if at := under(path, "addressing"); d.good(at) {
			d.checkOneOf(at, n.Addressing, string(nic.AddrDHCP), string(nic.AddrIPAM), string(nic.AddrProvider))
		}
	}
}

// checkGiven wants addresses by the provider only from one that gives any.
func (d *doc) checkGiven(path string, n network, p *Provider) {
	if p != nil && n.Addressing == string(nic.AddrProvider) && vendorOf(p.Kind) == nil && slices.Contains(kinds, p.Kind) {
		d.fault(under(path, "addressing"), "provider %s of kind %s gives no addresses; want dhcp or ipam", quote(p.Name), p.Kind)
	}
}

// checkDHCPSubnet allows of a subnet what is not the DHCP server's to say: the
// prefix, so that routes can be checked against it.
func (d *doc) checkDHCPSubnet(path string, s subnet) {
	if s.Prefix.IsValid() && s.Prefix.Addr().Is6() {
		d.fault(under(path, "prefix"), "%s: addressing dhcp is IPv4 only; IPv6 addresses need a network with addressing ipam", s.Prefix)
		return
	}
	for _, name := range []string{"gateway", "ranges", "exclude"} {
		if at := under(path, name); d.given(at) {
			d.fault(at, "is the DHCP server's to say; leave it out, or take addressing ipam")
		}
	}
}

func (d *doc) checkRoutes(path string, n network) {
	lines := map[string]int{}
	for i, r := range n.Routes {
		at := item(under(path, "routes"), i)
		to, via := under(at, "to"), under(at, "via")
		if d.good(to) {
			if r.To.Bits() == 0 {
				d.fault(to, "%s is the default route, which a subnet's gateway gives", r.To)
			}
			if line, ok := lines[r.To.String()]; ok {
				d.fault(to, "a route to %s is given already on line %d", r.To, line)
			}
			lines[r.To.String()] = d.line(to)
		}
		switch {
		case !d.good(via):
		case d.good(to) && r.To.Addr().Is4() != r.Via.Is4():
			d.fault(via, "%s is of another IP version than %s", r.Via, r.To)
		case d.bad[under(path, "subnets")], len(n.clouds()) > 0: // whose subnets the cloud knows
		case !slices.ContainsFunc(n.Subnets, func(s subnet) bool { return !s.Prefix.IsValid() || s.Prefix.Contains(r.Via) }):
			d.fault(via, "%s is in none of the network's subnets", r.Via)
		}
	}
}

// checkDevice wants the shape of the NICs from where they are made: of the node
// for a local provider, of the hypervisor for libvirt.
func (d *doc) checkDevice(path string, n network, p *Provider) {
	vethAt, macvlanAt, portAt := under(path, "veth"), under(path, "macvlan"), under(path, "port")
	isVeth, isMacvlan, isPort := d.given(vethAt), d.given(macvlanAt), d.given(portAt)
	local, plugged := p != nil && p.Kind == KindLocal, p != nil && p.Kind == KindLibvirt
	bad := d.bad[vethAt] || d.bad[macvlanAt] || d.bad[portAt]
	if isVeth && isMacvlan {
		d.fault(macvlanAt, "veth is given already on line %d; want one of the two", d.line(vethAt))
	}
	switch {
	case local && isPort:
		d.fault(portAt, "provider %s makes its NICs on the node; port is for a provider of kind libvirt", quote(p.Name))
	case local && !isVeth && !isMacvlan && !bad:
		d.fault(path, "provider %s makes its NICs on the node: want veth or macvlan", quote(p.Name))
	case plugged && !isPort && !isVeth && !isMacvlan && !bad:
		d.fault(path, "provider %s plugs its NICs into VMs: want port", quote(p.Name))
	}
	for _, at := range []string{vethAt, macvlanAt} {
		if plugged && d.given(at) {
			d.fault(at, "provider %s plugs its NICs into VMs: want port instead", quote(p.Name))
		}
	}
	if n.Port != nil && !d.bad[portAt] {
		d.checkPort(portAt, *n.Port)
	}
	if n.Veth != nil {
		d.checkInterface(under(vethAt, "bridge"), n.Veth.Bridge)
		for i, uplink := range n.Veth.Uplinks {
			d.checkInterface(item(under(vethAt, "uplinks"), i), uplink)
		}
		if len(n.Veth.Uplinks) > 0 && !n.Veth.Owned && !d.bad[under(vethAt, "owned")] {
			d.fault(under(vethAt, "uplinks"), "only a bridge with owned: true takes uplinks; give your own bridge its ports yourself")
		}
		d.checkSources(vethAt, *n.Veth)
	}
	if n.Macvlan != nil {
		d.checkInterface(under(macvlanAt, "parent"), n.Macvlan.Parent)
	}
}

// maxSources are given besides a container's own: each lengthens what is done for
// every packet.
const maxSources = 32

// checkSources wants addresses only where they count.
func (d *doc) checkSources(vethAt string, v veth) {
	at := under(vethAt, "alsoAddrs")
	if len(v.AlsoAddrs) > 0 && !bool(v.Isolation) && d.good(under(vethAt, "isolation")) {
		d.fault(at, "without isolation containers may send under any address; leave one of the two out")
	}
	if n := len(v.AlsoAddrs); n > maxSources {
		d.fault(at, "%d; want %d at most: give prefixes", n, maxSources)
		return
	}
	for i, text := range v.AlsoAddrs {
		if d.good(item(at, i)) {
			_, err := parseSource(text)
			d.faultErr(item(at, i), err)
		}
	}
}

func (d *doc) checkInterface(path, name string) {
	if d.good(path) {
		d.faultErr(path, nic.CheckInterfaceName(name))
	}
}
