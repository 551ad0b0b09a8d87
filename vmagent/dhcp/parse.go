package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/rfc1035label"

	"github.com/nicferry/nicferry/vmagent/lease"
)

// What a server may say, at most.
const (
	minPrefix = 8   // a shorter one would pull foreign traffic onto the NIC
	minMTU    = 576 // RFC 791: what every host must take
	maxMTU    = 9216
	maxSearch = 512 // bytes of option 119 that we decode
)

// ParseACK reads a lease out of a server's ACK or OFFER; sent is when the
// request went out. The server is not trusted: without a sound address, mask,
// server and lease time there is an error, everything else unsound is left out
// with a note. Routes (options 33, 121, 249) are taken if routes says so.
func ParseACK(m *dhcpv4.DHCPv4, sent time.Time, routes bool) (Lease, error) {
	l := Lease{Grant: lease.Grant{Acquired: sent}}
	if err := l.parseServer(m); err != nil {
		return Lease{}, err
	}
	for _, parse := range []func(*dhcpv4.DHCPv4) error{l.parseAddr, l.parseTimes} {
		if err := parse(m); err != nil {
			return Lease{}, fmt.Errorf("answer of DHCP server %s: %w", l.Server, err)
		}
	}
	l.parseRouter(m)
	l.parseRoutes(m, routes)
	l.parseMTU(m)
	l.TakeDNS(addrs(m, dhcpv4.OptionDomainNameServer), isHost)
	l.parseSearch(m)
	return l, nil
}

func (l *Lease) parseServer(m *dhcpv4.DHCPv4) error {
	server, ok := toAddr(m.ServerIdentifier())
	if !ok || !isHost(server) {
		return errors.New("answer of a DHCP server without a sound server identifier")
	}
	l.Server = server
	return nil
}

func (l *Lease) parseAddr(m *dhcpv4.DHCPv4) error {
	addr, ok := toAddr(m.YourIPAddr)
	if !ok || !isHost(addr) || addr.IsLinkLocalUnicast() {
		return fmt.Errorf("%s cannot be a NIC's address", m.YourIPAddr)
	}
	mask := m.Options.Get(dhcpv4.OptionSubnetMask)
	if len(mask) != net.IPv4len {
		return fmt.Errorf("subnet mask of %d bytes, want %d", len(mask), net.IPv4len)
	}
	bits, size := net.IPMask(mask).Size()
	if size == 0 {
		return fmt.Errorf("subnet mask %d.%d.%d.%d has holes", mask[0], mask[1], mask[2], mask[3])
	}
	if bits < minPrefix {
		return fmt.Errorf("subnet mask /%d, want /%d or longer", bits, minPrefix)
	}
	l.Addr = netip.PrefixFrom(addr, bits)
	if addr == l.Addr.Masked().Addr() && bits < 31 {
		return fmt.Errorf("%s is the name of its subnet", l.Addr)
	}
	if addr == lastAddr(l.Addr) && bits < 31 {
		return fmt.Errorf("%s is its subnet's broadcast address", l.Addr)
	}
	return nil
}

func (l *Lease) parseTimes(m *dhcpv4.DHCPv4) error {
	length := seconds(m, dhcpv4.OptionIPAddressLeaseTime)
	return l.SetTimes(seconds(m, dhcpv4.OptionRenewTimeValue), seconds(m, dhcpv4.OptionRebindingTimeValue), length, length/2, length-length/8)
}

func (l *Lease) parseRouter(m *dhcpv4.DHCPv4) {
	routers := addrs(m, dhcpv4.OptionRouter)
	if len(routers) == 0 {
		return
	}
	router := routers[0] // RFC 2132 §3.5: in order of preference
	if !l.isNeighbour(router) {
		l.Note("router %s ignored: not a neighbour of %s", router, l.Addr)
		return
	}
	l.Router = router
}

// isNeighbour says whether another host of the NIC's own subnet can have addr.
func (l *Lease) isNeighbour(addr netip.Addr) bool {
	return isHost(addr) && l.Addr.Contains(addr) && addr != l.Addr.Addr()
}

func (l *Lease) parseMTU(m *dhcpv4.DHCPv4) {
	value := m.Options.Get(dhcpv4.OptionInterfaceMTU)
	if len(value) != 2 {
		return
	}
	said := int(binary.BigEndian.Uint16(value))
	l.MTU = min(max(said, minMTU), maxMTU)
	if l.MTU != said {
		l.Note("MTU %d changed to %d", said, l.MTU)
	}
}

// parseSearch takes option 119, or else the one domain of option 15.
func (l *Lease) parseSearch(m *dhcpv4.DHCPv4) {
	var domains []string
	if list := m.Options.Get(dhcpv4.OptionDNSDomainSearchList); len(list) > maxSearch {
		l.Note("search list of %d bytes ignored", len(list))
	} else if labels, err := rfc1035label.FromBytes(list); err != nil {
		l.Note("search list ignored: %.80q", err.Error())
	} else {
		domains = labels.Labels
	}
	if name := m.Options.Get(dhcpv4.OptionDomainName); len(domains) == 0 && len(name) > 0 {
		domains = []string{strings.TrimRight(string(name), "\x00")}
	}
	l.TakeSearch(domains)
}

// isHost says whether a single machine can own addr.
func isHost(addr netip.Addr) bool {
	first := addr.As4()[0]
	return first != 0 && first < 224 && !addr.IsLoopback()
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	host := ^uint32(0) >> p.Bits()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])|host)
	return netip.AddrFrom4(b)
}

// seconds reads a duration option; 0 if it is missing or malformed.
func seconds(m *dhcpv4.DHCPv4, code dhcpv4.OptionCode) time.Duration {
	value := m.Options.Get(code)
	if len(value) != 4 {
		return 0
	}
	return time.Duration(binary.BigEndian.Uint32(value)) * time.Second
}

// addrs reads a list of addresses; none if its length is odd.
func addrs(m *dhcpv4.DHCPv4, code dhcpv4.OptionCode) []netip.Addr {
	var list []netip.Addr
	for _, ip := range dhcpv4.GetIPs(code, m.Options) {
		if addr, ok := toAddr(ip); ok {
			list = append(list, addr)
		}
	}
	return list
}

// toAddr turns the library's addresses, which may be nil, into ours: IPv4 only.
func toAddr(ip net.IP) (netip.Addr, bool) {
	addr, ok := netip.AddrFromSlice(ip)
	addr = addr.Unmap()
	return addr, ok && addr.Is4()
}
