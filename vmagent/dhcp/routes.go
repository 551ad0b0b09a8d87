package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/nicferry/nicferry/nic"
)

// Options that carry routes, best first. They could override those of the
// container's other NICs, or lead its traffic to whoever answers DHCP first.
const (
	classlessRoutes = dhcpv4.GenericOptionCode(121) // RFC 3442
	microsoftRoutes = dhcpv4.GenericOptionCode(249) // the same by another number
	staticRoutes    = dhcpv4.GenericOptionCode(33)  // RFC 2132, without masks
)

// maxRoutes is how many routes of a server we take.
const maxRoutes = 64

// parseRoutes takes the routes of the best option that can be read. Classless
// ones replace the router (RFC 3442): a server that sends them says with them
// whether there is a default route.
func (l *Lease) parseRoutes(m *dhcpv4.DHCPv4, wanted bool) {
	taken := false
	for _, code := range []dhcpv4.GenericOptionCode{classlessRoutes, microsoftRoutes, staticRoutes} {
		value := m.Options.Get(code)
		if len(value) == 0 {
			continue
		}
		if !wanted || taken {
			l.Note("option %d: %d bytes of routes ignored", code.Code(), len(value))
			continue
		}
		decode := decodeClassless
		if code == staticRoutes {
			decode = decodeClassful
		}
		routes, err := decode(value)
		if err != nil {
			l.Note("option %d ignored: %s", code.Code(), err)
			continue
		}
		taken = true
		if code != staticRoutes {
			l.Router = netip.Addr{}
		}
		l.takeRoutes(routes)
	}
}

// takeRoutes takes those that are sound, and notes why others are not.
func (l *Lease) takeRoutes(routes []nic.Route) {
	for _, r := range routes {
		if err := l.checkRoute(r); err != nil {
			l.Note("route to %s by %s ignored: %s", r.To, r.Via, err)
			continue
		}
		if r.To.Bits() == 0 {
			l.Router = r.Via // the container decides which NIC its default route takes
			continue
		}
		if len(l.Routes) == maxRoutes {
			l.Note("routes after the first %d ignored", maxRoutes)
			return
		}
		l.Routes = append(l.Routes, r)
	}
}

func (l *Lease) checkRoute(r nic.Route) error {
	first := r.To.Addr().As4()[0]
	switch {
	case first >= 224 || r.To.Addr().IsLoopback() || first == 0 && r.To.Bits() >= 8:
		return errors.New("no host has such an address")
	case r.To == l.Addr.Masked():
		return errors.New("it is the NIC's own subnet")
	case r.Via.IsUnspecified():
		return errors.New("destinations on the link itself are not taken")
	case !l.isNeighbour(r.Via):
		return fmt.Errorf("not a neighbour of %s", l.Addr)
	case r.To.Bits() == 0 && l.Router.IsValid(),
		slices.ContainsFunc(l.Routes, func(have nic.Route) bool { return have.To == r.To }):
		return errors.New("there is one already")
	}
	return nil
}

// decodeClassless reads width, the network's significant bytes and gateway,
// again and again. One that is malformed makes those after it unreadable.
func decodeClassless(b []byte) (routes []nic.Route, err error) {
	for len(b) > 0 {
		width := int(b[0])
		size := (width + 7) / 8
		if width > 32 || len(b) < 1+size+4 {
			return nil, fmt.Errorf("route %d is malformed", len(routes)+1)
		}
		var to, via [4]byte
		copy(to[:], b[1:1+size])
		copy(via[:], b[1+size:])
		b = b[1+size+4:]
		routes = append(routes, nic.Route{To: netip.PrefixFrom(netip.AddrFrom4(to), width).Masked(), Via: netip.AddrFrom4(via)})
	}
	return routes, nil
}

// decodeClassful reads pairs of destination and gateway. A destination is a
// network of its class, or a host if it has more bits than that.
func decodeClassful(b []byte) (routes []nic.Route, err error) {
	if len(b)%8 != 0 {
		return nil, fmt.Errorf("%d bytes are not pairs of addresses", len(b))
	}
	for ; len(b) > 0; b = b[8:] {
		to := netip.AddrFrom4([4]byte(b))
		width := 8 * min(1+bits.LeadingZeros8(^b[0]), 3) // class A, B or C
		if binary.BigEndian.Uint32(b)<<width != 0 {
			width = 32
		}
		routes = append(routes, nic.Route{To: netip.PrefixFrom(to, width), Via: netip.AddrFrom4([4]byte(b[4:]))})
	}
	return routes, nil
}
