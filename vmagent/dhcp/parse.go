package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/rfc1035label"
)

// What a server may say, at most.
const (
	minPrefix  = 8 // a shorter one would pull foreign traffic onto the NIC
	minLease   = 2 * time.Second
	minMTU     = 576 // RFC 791: what every host must take
	maxMTU     = 9216
	maxServers = 8   // DNS servers
	maxDomains = 16  // search domains
	maxSearch  = 512 // bytes of option 119 that we decode
	maxNotes   = 16
)

// routeOptions carry routes that would override those of the container's other
// NICs, or lead its traffic to whoever answers DHCP first (CVE-2024-3661).
var routeOptions = []dhcpv4.GenericOptionCode{33, 121, 249}

// ParseACK reads a lease out of a server's ACK or OFFER; sent is when the
// request went out. The server is not trusted: without a sound address, mask,
// server and lease time there is an error, everything else unsound is left out
// with a note. Routes (options 33, 121, 249) are never taken.
func ParseACK(m *dhcpv4.DHCPv4, sent time.Time) (Lease, error) {
	lease := Lease{Acquired: sent}
	if err := lease.parseServer(m); err != nil {
		return Lease{}, err
	}
	for _, parse := range []func(*dhcpv4.DHCPv4) error{lease.parseAddr, lease.parseTimes} {
		if err := parse(m); err != nil {
			return Lease{}, fmt.Errorf("answer of DHCP server %s: %w", lease.Server, err)
		}
	}
	lease.parseRouter(m)
	lease.parseMTU(m)
	lease.parseDNS(m)
	lease.parseSearch(m)
	for _, code := range routeOptions {
		if n := len(m.Options.Get(code)); n > 0 {
			lease.note("option %d: %d bytes of routes ignored", code.Code(), n)
		}
	}
	return lease, nil
}

// note keeps a remark for people; a chatty server cannot fill memory with them.
func (l *Lease) note(format string, args ...any) {
	if len(l.Notes) < maxNotes {
		l.Notes = append(l.Notes, fmt.Sprintf(format, args...))
	}
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
	if length < minLease {
		return fmt.Errorf("lease time %s, want %s or more", length, minLease)
	}
	t1, t2 := seconds(m, dhcpv4.OptionRenewTimeValue), seconds(m, dhcpv4.OptionRebindingTimeValue)
	if t1 == 0 {
		t1 = length / 2
	}
	if t2 == 0 {
		t2 = length - length/8
	}
	if t1 >= t2 || t2 >= length {
		l.note("renewal after %s and %s of %s replaced by the usual half and seven eighths", t1, t2, length)
		t1, t2 = length/2, length-length/8
	}
	l.T1, l.T2, l.Expires = l.Acquired.Add(t1), l.Acquired.Add(t2), l.Acquired.Add(length)
	return nil
}

func (l *Lease) parseRouter(m *dhcpv4.DHCPv4) {
	routers := addrs(m, dhcpv4.OptionRouter)
	if len(routers) == 0 {
		return
	}
	router := routers[0] // RFC 2132 §3.5: in order of preference
	onLink := isHost(router) && l.Addr.Contains(router) && router != l.Addr.Addr()
	if !onLink {
		l.note("router %s ignored: not a neighbour of %s", router, l.Addr)
		return
	}
	l.Router = router
}

func (l *Lease) parseMTU(m *dhcpv4.DHCPv4) {
	value := m.Options.Get(dhcpv4.OptionInterfaceMTU)
	if len(value) != 2 {
		return
	}
	said := int(binary.BigEndian.Uint16(value))
	l.MTU = min(max(said, minMTU), maxMTU)
	if l.MTU != said {
		l.note("MTU %d changed to %d", said, l.MTU)
	}
}

func (l *Lease) parseDNS(m *dhcpv4.DHCPv4) {
	for _, addr := range addrs(m, dhcpv4.OptionDomainNameServer) {
		switch {
		case !isHost(addr):
			l.note("DNS server %s ignored: not a host's address", addr)
		case slices.Contains(l.DNS, addr):
		case len(l.DNS) == maxServers:
			l.note("DNS servers after the first %d ignored", maxServers)
			return
		default:
			l.DNS = append(l.DNS, addr)
		}
	}
}

// parseSearch takes option 119, or else the one domain of option 15.
func (l *Lease) parseSearch(m *dhcpv4.DHCPv4) {
	var domains []string
	if list := m.Options.Get(dhcpv4.OptionDNSDomainSearchList); len(list) > maxSearch {
		l.note("search list of %d bytes ignored", len(list))
	} else if labels, err := rfc1035label.FromBytes(list); err != nil {
		l.note("search list ignored: %.80q", err.Error())
	} else {
		domains = labels.Labels
	}
	if name := m.Options.Get(dhcpv4.OptionDomainName); len(domains) == 0 && len(name) > 0 {
		domains = []string{strings.TrimRight(string(name), "\x00")}
	}
	for _, domain := range domains {
		domain = strings.TrimSuffix(domain, ".")
		if err := checkDomain(domain); err != nil {
			l.note("search %s", err)
			continue
		}
		if len(l.Search) == maxDomains {
			l.note("search domains after the first %d ignored", maxDomains)
			return
		}
		if !slices.Contains(l.Search, domain) {
			l.Search = append(l.Search, domain)
		}
	}
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
