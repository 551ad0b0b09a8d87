//go:build linux

// Package portguard writes the program by which a port of a switch takes of a
// container only what is sent under its NIC's own MAC and addresses.
package portguard

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"

	"github.com/nicferry/nicferry/nic"
)

// Rules are what a NIC may send under. Beside foreign sources they keep it from
// router advertisements and redirects, from what DHCP servers say, and from all that
// is neither IPv4, IPv6 nor ARP: VLAN tags, what bridges say to each other.
type Rules struct {
	MAC nic.MAC // required
	// Addrs are the NIC's own, of both versions. Without one of a version nothing of
	// that version leaves but what the fields below let out.
	Addrs []netip.Addr
	Also  []netip.Prefix // optional: sources that it may use besides
	// DHCP: it may ask a DHCPv4 server for an address before it has one.
	DHCP bool
	// IPv6: it has its link-local address, which goes by the MAC, and looks for
	// neighbours and routers. DHCPv6 needs no more than that.
	IPv6 bool
	// SLAAC: it makes addresses of its MAC and whichever prefix is advertised.
	SLAAC bool
}

// maxProgram is how many instructions fit into what the kernel lists filters in.
const maxProgram = 1900

// Program is the rules as the kernel takes them, over Ethernet frames. Equal rules
// give equal programs, whatever the order of their addresses. It is an error if there
// are so many addresses that the kernel would not take it.
func (r Rules) Program() ([]bpf.RawInstruction, error) {
	all := r.frame()
	if !guarding {
		all = block{pass}
	}
	program, err := bpf.Assemble(all)
	if err == nil && len(program) > maxProgram {
		err = fmt.Errorf("%d addresses and prefixes are too many: the program has %d instructions, and the kernel takes %d",
			len(r.Addrs)+len(r.Also), len(program), maxProgram)
	}
	if err != nil {
		return nil, fmt.Errorf("write the filter of %s: %w", r.MAC, err)
	}
	return program, nil
}

// Where an Ethernet frame has what, in bytes, and its types.
const (
	frameFrom   = 6
	frameType   = 12
	frameHeader = 14

	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd
)

// frame decides on a frame. That the tag of a VLAN is beside it by now, and not in
// it, is the kernel's way.
func (r Rules) frame() block {
	b := needFrame(frameHeader)
	b = append(b, bpf.LoadExtension{Num: bpf.ExtVLANTagPresent})
	b = append(b, dropIf(bpf.JumpNotEqual, 0)...)
	b = append(b, r.isOwnMAC(absolute, frameFrom)...)
	b = append(b, bpf.LoadAbsolute{Off: frameType, Size: 2})
	b = append(b, when(bpf.JumpEqual, typeIPv4, r.ipv4())...)
	b = append(b, when(bpf.JumpEqual, typeARP, r.arp())...)
	if r.IPv6 {
		b = append(b, when(bpf.JumpEqual, typeIPv6, r.ipv6())...)
	}
	return append(b, drop)
}

// isOwnMAC drops a frame that has another MAC at the offset.
func (r Rules) isOwnMAC(from mode, at uint32) block {
	return anyOf([]alternative{{
		{from: from, at: at, size: 4, want: word(r.MAC[:4])},
		{from: from, at: at + 4, size: 2, want: uint32(r.MAC[4])<<8 | uint32(r.MAC[5])},
	}})
}

// sources are the addresses of one version, each one way to match what is at the
// offset.
func (r Rules) sources(v6 bool, from mode, at uint32) []alternative {
	prefixes := slices.Clone(r.Also)
	for _, a := range r.Addrs {
		prefixes = append(prefixes, netip.PrefixFrom(a.WithZone(""), a.BitLen()))
	}
	if v6 {
		local := r.linkLocal()
		prefixes = append(prefixes, netip.PrefixFrom(local, local.BitLen()))
	}
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	var all []alternative
	for _, p := range slices.Compact(prefixes) {
		if p.Addr().Is6() == v6 {
			all = append(all, inPrefix(p, from, at))
		}
	}
	if v6 && r.SLAAC {
		all = append(all, inPrefix(netip.PrefixFrom(r.linkLocal(), 128), from, at)[2:])
	}
	return all
}

// linkLocal is the address that the kernel makes of the MAC (RFC 4291, EUI-64).
func (r Rules) linkLocal() netip.Addr {
	m := r.MAC
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}
