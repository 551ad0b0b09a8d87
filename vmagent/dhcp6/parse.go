package dhcp6

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/nicferry/nicferry/vmagent/lease"
)

// maxDNS bounds the addresses of a server's DNS option that we look at.
const maxDNS = 64

// ParseReply reads a lease out of a server's ADVERTISE or REPLY: the address
// want, or the first if that is zero. sent is when the request went out. The
// server is not trusted: without a sound server id, address and lifetimes there
// is an error, everything else unsound is left out with a note. The error is
// ErrRefused if the server says that there is no such lease.
func ParseReply(m *dhcpv6.Message, iaid [4]byte, want netip.Addr, sent time.Time) (Lease, error) {
	l := Lease{Grant: lease.Grant{Acquired: sent}}
	if id := m.Options.ServerID(); id != nil {
		l.Server = id.ToBytes()
	}
	if l.Server.check() != nil {
		return Lease{}, errors.New("answer of a DHCPv6 server without a sound server id")
	}
	if err := l.parse(m, iaid, want); err != nil {
		return Lease{}, fmt.Errorf("answer of DHCPv6 server %s: %w", l.Server, err)
	}
	return l, nil
}

func (l *Lease) parse(m *dhcpv6.Message, iaid [4]byte, want netip.Addr) error {
	if err := statusError(m.Options.Status()); err != nil {
		return err
	}
	all := m.Options.IANA()
	at := slices.IndexFunc(all, func(ia *dhcpv6.OptIANA) bool { return ia.IaId == iaid })
	if at < 0 {
		return errors.New("nothing about our address")
	}
	ia := all[at]
	if err := statusError(ia.Options.Status()); err != nil {
		return err
	}
	given, err := l.parseAddr(ia, want)
	if err != nil {
		return err
	}
	if err := l.parseTimes(ia, given); err != nil {
		return err
	}
	l.TakeDNS(addrs(m.Options.DNS()), isHost)
	if list := m.Options.DomainSearchList(); list != nil {
		l.TakeSearch(list.Labels)
	}
	return nil
}

// parseAddr picks the address. One with no time left is the server's way to
// take it back.
func (l *Lease) parseAddr(ia *dhcpv6.OptIANA, want netip.Addr) (*dhcpv6.OptIAAddress, error) {
	var unsound error
	for _, given := range ia.Options.Addresses() {
		addr, ok := netip.AddrFromSlice(given.IPv6Addr)
		switch err := statusError(given.Options.Status()); {
		case want.IsValid() && addr != want:
		case err != nil:
			unsound = err
		case !ok || !isHost(addr):
			unsound = fmt.Errorf("%s cannot be a NIC's address", addr)
		case given.ValidLifetime == 0:
			unsound = fmt.Errorf("%s has no time left: %w", addr, ErrRefused)
		default:
			l.Addr = netip.PrefixFrom(addr, addr.BitLen())
			return given, nil
		}
	}
	switch {
	case unsound != nil:
		return nil, unsound
	case want.IsValid():
		return nil, fmt.Errorf("nothing about %s", want)
	}
	return nil, errors.New("no address")
}

func (l *Lease) parseTimes(ia *dhcpv6.OptIANA, given *dhcpv6.OptIAAddress) error {
	preferred, valid := given.PreferredLifetime, given.ValidLifetime
	if preferred > valid {
		return fmt.Errorf("preferred for %s but valid for %s", preferred, valid)
	}
	base := preferred // RFC 9915 §21.4
	if base < lease.MinTime {
		base = valid
	}
	if err := l.SetTimes(ia.T1, ia.T2, valid, base/2, base/5*4); err != nil {
		return err
	}
	l.Preferred = l.Acquired.Add(preferred)
	return nil
}

// statusError is nil for success, which is also the word of one who says
// nothing. The text is the server's, so it is quoted.
func statusError(s *dhcpv6.OptStatusCode) error {
	if s == nil || s.StatusCode == iana.StatusSuccess {
		return nil
	}
	switch s.StatusCode {
	case iana.StatusNoBinding, iana.StatusNotOnLink, iana.StatusNoAddrsAvail:
		return fmt.Errorf("%w: %s %.80q", ErrRefused, s.StatusCode, s.StatusMessage)
	}
	return fmt.Errorf("status %d: %.80q", uint16(s.StatusCode), s.StatusMessage)
}

// isHost says whether a single machine can own addr, beyond its link.
func isHost(addr netip.Addr) bool {
	return addr.Is6() && !addr.Is4In6() && addr.Zone() == "" && addr.IsGlobalUnicast() && addr.As16()[0] != 0
}

func addrs(ips []net.IP) (list []netip.Addr) {
	for _, ip := range ips[:min(len(ips), maxDNS)] {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			list = append(list, addr)
		}
	}
	return list
}
