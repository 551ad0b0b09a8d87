//go:build linux

package link

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// An Addr is an address of a link.
type Addr struct {
	// Prefix has the host part and the length.
	Prefix netip.Prefix
	// LinkLocal and host scopes are the kernel's own business.
	Global bool
	// Duplicate: IPv6 duplicate address detection heard another holder.
	Duplicate bool
	// Tentative: that detection still runs; the address does not work yet.
	Tentative bool
	// Advertised: the kernel made it by router advertisement, or somebody gave
	// it a lifetime: kernels before 5.18 do not tell these apart.
	Advertised bool
}

// Addrs lists the link's addresses of both families.
func (h *Handle) Addrs(l Link) ([]Addr, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETADDR, 0)
	req.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
	msgs, err := h.dump(req, unix.RTM_NEWADDR)
	if err != nil {
		return nil, fmt.Errorf("list addresses of link %q: %w", l.Name, err)
	}
	var addrs []Addr
	for _, m := range msgs {
		if len(m) < unix.SizeofIfAddrmsg {
			return nil, fmt.Errorf("list addresses of link %q: answer is too short", l.Name)
		}
		head := nl.DeserializeIfAddrmsg(m)
		if int(head.Index) != l.Index {
			continue
		}
		a, err := parseAddr(head, m[unix.SizeofIfAddrmsg:])
		if err != nil {
			return nil, fmt.Errorf("list addresses of link %q: %w", l.Name, err)
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

func parseAddr(head *nl.IfAddrmsg, b []byte) (Addr, error) {
	attrs, err := nl.ParseRouteAttr(b)
	if err != nil {
		return Addr{}, err
	}
	var local, address netip.Addr
	flags := uint32(head.Flags)
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(a.Value)
		case unix.IFA_ADDRESS: // the peer's, where there is a local one
			address, _ = netip.AddrFromSlice(a.Value)
		case unix.IFA_FLAGS:
			flags = uint32(number(a.Value))
		}
	}
	if !local.IsValid() {
		local = address
	}
	return Addr{
		Prefix:     netip.PrefixFrom(local, int(head.Prefixlen)),
		Global:     head.Scope == unix.RT_SCOPE_UNIVERSE,
		Duplicate:  flags&unix.IFA_F_DADFAILED != 0,
		Tentative:  flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_DADFAILED == 0,
		Advertised: head.Family == unix.AF_INET6 && flags&unix.IFA_F_PERMANENT == 0,
	}, nil
}

// AddAddr gives the link an address, with the kernel's own check for
// duplicates where it is IPv6. One that it has already is no error.
func (h *Handle) AddAddr(l Link, p netip.Prefix) error { return h.addAddr(l, p, 0) }

// AddOwnAddr is AddAddr without the kernel's check: for an address that nobody
// else can have, which is usable at once.
func (h *Handle) AddOwnAddr(l Link, p netip.Prefix) error {
	return h.addAddr(l, p, unix.IFA_F_NODAD)
}

func (h *Handle) addAddr(l Link, p netip.Prefix, flags uint8) error {
	err := h.write(addrRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, l, p, flags))
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("add address %s to link %q: %w", p, l.Name, err)
	}
	return nil
}

// DelAddr takes an address from the link. One that it has not is no error.
func (h *Handle) DelAddr(l Link, p netip.Prefix) error {
	err := h.write(addrRequest(unix.RTM_DELADDR, 0, l, p, 0))
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("delete address %s from link %q: %w", p, l.Name, err)
	}
	return nil
}

func addrRequest(verb, flags int, l Link, p netip.Prefix, addrFlags uint8) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(verb, flags)
	msg := nl.NewIfAddrmsg(family(p.Addr()))
	msg.Index = uint32(l.Index)
	msg.Prefixlen = uint8(p.Bits())
	msg.Flags = addrFlags
	req.AddData(msg)
	ip := p.Addr().AsSlice()
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, ip))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, ip))
	if p.Addr().Is4() && p.Bits() < 31 { // RFC 3021: smaller ones have none
		req.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, broadcast(p)))
	}
	return req
}

func broadcast(p netip.Prefix) []byte {
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return b[:]
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
