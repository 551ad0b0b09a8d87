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

// A Route is a unicast route of the main table that leaves by one link.
type Route struct {
	// To is masked; a length of 0 makes it a default route.
	To netip.Prefix
	// Via is the next hop; the zero Addr where To is on the link itself.
	Via netip.Addr
	// Ours: it carries our Protocol. Kernel: it came with an address.
	// Both are set by Routes and not looked at by the writers.
	Ours, Kernel bool
	// metric is the kernel's, to delete exactly what was listed.
	metric uint32
}

// String is as iproute2 writes it.
func (r Route) String() string {
	if r.Via.IsValid() {
		return fmt.Sprintf("%s via %s", r.To, r.Via)
	}
	return fmt.Sprintf("%s on-link", r.To)
}

// Same says whether both lead the same packets the same way.
func (r Route) Same(o Route) bool { return r.To == o.To && r.Via == o.Via }

// Routes lists the routes of both families that leave by the link.
func (h *Handle) Routes(l Link) ([]Route, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	req.AddData(&nl.RtMsg{})
	msgs, err := h.dump(req, unix.RTM_NEWROUTE)
	if err != nil {
		return nil, fmt.Errorf("list routes of link %q: %w", l.Name, err)
	}
	var routes []Route
	for _, m := range msgs {
		r, device, err := parseRoute(m)
		if err != nil {
			return nil, fmt.Errorf("list routes of link %q: %w", l.Name, err)
		}
		if device == l.Index {
			routes = append(routes, r)
		}
	}
	return routes, nil
}

// parseRoute returns device 0 for what is no such route as we deal in.
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
	if head.Type != unix.RTN_UNICAST || head.Table != unix.RT_TABLE_MAIN || head.Flags&unix.RTM_F_CLONED != 0 {
		return Route{}, 0, nil
	}
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
		}
	}
	r.To = netip.PrefixFrom(to, int(head.Dst_len))
	r.Ours, r.Kernel = head.Protocol == Protocol, head.Protocol == unix.RTPROT_KERNEL
	return r, device, nil
}

// ReplaceRoute makes the route, in the place of one to the same destination
// with the same metric, if there is one, by whatever link.
func (h *Handle) ReplaceRoute(l Link, r Route) error {
	scope := unix.RT_SCOPE_UNIVERSE
	if !r.Via.IsValid() && r.To.Addr().Is4() {
		scope = unix.RT_SCOPE_LINK
	}
	if err := h.write(routeRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, scope, l, r)); err != nil {
		return fmt.Errorf("set route %s by link %q: %w", r, l.Name, err)
	}
	return nil
}

// DelRoute removes a route. One that is not there is no error.
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
	msg.Table = unix.RT_TABLE_MAIN
	msg.Scope = uint8(scope)
	if verb == unix.RTM_NEWROUTE {
		msg.Protocol, msg.Type = Protocol, unix.RTN_UNICAST
	}
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.RTA_DST, r.To.Addr().AsSlice()))
	if r.Via.IsValid() {
		req.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, r.Via.AsSlice()))
	}
	req.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(l.Index))))
	if r.metric != 0 {
		req.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(r.metric)))
	}
	return req
}
