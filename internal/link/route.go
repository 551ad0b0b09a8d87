//go:build linux

package link

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Protocol is the origin that our routes carry, so that we and people know
// them. The number is free in linux/rtnetlink.h and iproute2's tables.
const Protocol = 157

// A Route is a unicast route that leaves by one link, or a blackhole.
type Route struct {
	// To is masked; a length of 0 makes it a default route.
	To netip.Prefix
	// Via is the next hop; the zero Addr where To is on the link itself.
	Via netip.Addr
	// Table is the routing table; 0 is the main one.
	Table int
	// Blackhole: packets are dropped. It leaves by no link.
	Blackhole bool
	// Ours: it carries our Protocol. Kernel: it came with an address, or with
	// a prefix of a router advertisement. Advertised: it is another one by
	// router advertisement, such as the default route. All three are set by
	// the listings and not looked at by the writers.
	Ours, Kernel, Advertised bool
	// metric is the kernel's, to delete exactly what was listed.
	metric uint32
}

// String is as iproute2 writes it.
func (r Route) String() string {
	s := r.To.String()
	switch {
	case r.Blackhole:
		s = "blackhole " + s
	case r.Via.IsValid():
		s += " via " + r.Via.String()
	default:
		s += " on-link"
	}
	if r.Table != 0 {
		s += fmt.Sprintf(" table %d", r.Table)
	}
	return s
}

// Same says whether both lead the same packets the same way.
func (r Route) Same(o Route) bool {
	return r.To == o.To && r.Via == o.Via && r.Table == o.Table && r.Blackhole == o.Blackhole
}

// Routes lists the unicast routes of both families that leave by the link, in
// all tables but the kernel's own for local addresses.
func (h *Handle) Routes(l Link) ([]Route, error) {
	all, err := h.routes()
	if err != nil {
		return nil, fmt.Errorf("list routes of link %q: %w", l.Name, err)
	}
	var routes []Route
	for _, r := range all {
		if r.device == l.Index && !r.Blackhole {
			routes = append(routes, r.Route)
		}
	}
	return routes, nil
}

// Blackholes lists our blackhole routes of both families, in all tables.
func (h *Handle) Blackholes() ([]Route, error) {
	all, err := h.routes()
	if err != nil {
		return nil, fmt.Errorf("list blackhole routes of %s: %w", h.ns.ID(), err)
	}
	var holes []Route
	for _, r := range all {
		if r.Blackhole && r.Ours {
			holes = append(holes, r.Route)
		}
	}
	return holes, nil
}

// A listed route has the index of its link, 0 for one that we do not deal in.
type listed struct {
	Route
	device int
}

func (h *Handle) routes() ([]listed, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	req.AddData(&nl.RtMsg{})
	msgs, err := h.dump(req, unix.RTM_NEWROUTE)
	if err != nil {
		return nil, err
	}
	var all []listed
	for _, m := range msgs {
		r, device, err := parseRoute(m)
		if err != nil {
			return nil, err
		}
		all = append(all, listed{r, device})
	}
	return all, nil
}

func parseRoute(m []byte) (r Route, device int, err error) {
	if len(m) < unix.SizeofRtMsg {
		return Route{}, 0, errors.New("answer is too short")
	}
	head := nl.DeserializeRtMsg(m)
	var to netip.Addr
	switch head.Family {
	case unix.AF_INET:
		to = netip.IPv4Unspecified()
	case unix.AF_INET6:
		to = netip.IPv6Unspecified()
	default:
		return Route{}, 0, nil
	}
	dealtIn := head.Type == unix.RTN_UNICAST || head.Type == unix.RTN_BLACKHOLE
	if !dealtIn || head.Table == unix.RT_TABLE_LOCAL || head.Flags&unix.RTM_F_CLONED != 0 {
		return Route{}, 0, nil
	}
	r.Blackhole = head.Type == unix.RTN_BLACKHOLE
	r.Table = int(head.Table)
	attrs, err := nl.ParseRouteAttr(m[unix.SizeofRtMsg:])
	if err != nil {
		return Route{}, 0, err
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.RTA_DST:
			to, _ = netip.AddrFromSlice(a.Value)
		case unix.RTA_GATEWAY:
			r.Via, _ = netip.AddrFromSlice(a.Value)
		case unix.RTA_OIF:
			device = number(a.Value)
		case unix.RTA_PRIORITY:
			r.metric = uint32(number(a.Value))
		case unix.RTA_TABLE: // the header's number has eight bits
			r.Table = int(uint32(number(a.Value)))
		}
	}
	if r.Table == unix.RT_TABLE_MAIN {
		r.Table = 0
	}
	r.To = netip.PrefixFrom(to, int(head.Dst_len))
	r.Ours, r.Kernel, r.Advertised = head.Protocol == Protocol, head.Protocol == unix.RTPROT_KERNEL, head.Protocol == unix.RTPROT_RA
	return r, device, nil
}

// ReplaceRoute makes the route, in the place of one to the same destination
// with the same metric in its table, if there is one, by whatever link. The
// link is not looked at for a blackhole.
func (h *Handle) ReplaceRoute(l Link, r Route) error {
	if err := h.write(routeRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, scopeOf(r), l, r)); err != nil {
		return fmt.Errorf("set route %s by link %q: %w", r, l.Name, err)
	}
	return nil
}

// AddRoute gives the namespace a route where there is none of its destination and table
// yet, be it another: that is ErrExists.
func (h *Handle) AddRoute(l Link, r Route) error {
	if err := h.write(routeRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, scopeOf(r), l, r)); err != nil {
		return fmt.Errorf("add route %s by link %q: %w", r, l.Name, err)
	}
	return nil
}

// scopeOf is how far the destination is.
func scopeOf(r Route) int {
	if !r.Via.IsValid() && r.To.Addr().Is4() && !r.Blackhole {
		return unix.RT_SCOPE_LINK
	}
	return unix.RT_SCOPE_UNIVERSE
}

// DelRoute removes a route. One that is not there is no error. The link is not
// looked at for a blackhole, which is removed only if it is ours.
func (h *Handle) DelRoute(l Link, r Route) error {
	err := h.write(routeRequest(unix.RTM_DELROUTE, 0, unix.RT_SCOPE_NOWHERE, l, r))
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("delete route %s by link %q: %w", r, l.Name, err)
	}
	return nil
}

func routeRequest(verb, flags, scope int, l Link, r Route) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(verb, flags)
	msg := &nl.RtMsg{}
	msg.Family = uint8(family(r.To.Addr()))
	msg.Dst_len = uint8(r.To.Bits())
	msg.Scope = uint8(scope)
	if verb == unix.RTM_NEWROUTE {
		msg.Protocol, msg.Type = Protocol, unix.RTN_UNICAST
	}
	if r.Blackhole {
		msg.Protocol, msg.Type = Protocol, unix.RTN_BLACKHOLE
	}
	req.AddData(msg)
	req.AddData(tableAttr(unix.RTA_TABLE, r.Table))
	req.AddData(nl.NewRtAttr(unix.RTA_DST, r.To.Addr().AsSlice()))
	if r.Via.IsValid() {
		req.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, r.Via.AsSlice()))
	}
	if !r.Blackhole {
		req.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(l.Index))))
	}
	if r.metric != 0 {
		req.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(r.metric)))
	}
	return req
}

// tableAttr names a table in the 32 bits that the header has no room for.
func tableAttr(kind, table int) *nl.RtAttr {
	if table == 0 {
		table = unix.RT_TABLE_MAIN
	}
	return nl.NewRtAttr(kind, nl.Uint32Attr(uint32(table)))
}
