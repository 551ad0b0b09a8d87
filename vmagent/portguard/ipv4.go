//go:build linux

package portguard

import "golang.org/x/net/bpf"

// Where an ARP packet over Ethernet has what, in the frame: RFC 826.
const (
	arpKinds     = frameHeader     // of hardware and of protocol
	arpSizes     = frameHeader + 4 // of their addresses
	arpOperation = frameHeader + 6
	arpFromMAC   = frameHeader + 8
	arpFrom      = frameHeader + 14
	arpTo        = frameHeader + 24
	arpEnd       = frameHeader + 28

	arpRequest = 1
	arpReply   = 2
)

// arp decides on ARP: sender's MAC and address are the NIC's. A probe has no
// sender's address, and asks for one of the NIC's own: whoever is about to take
// another would think that it is taken.
func (r Rules) arp() block {
	b := needFrame(arpEnd)
	b = append(b, anyOf([]alternative{{
		{at: arpKinds, size: 4, want: 1<<16 | typeIPv4},
		{at: arpSizes, size: 2, want: 6<<8 | 4},
	}})...)
	b = append(b, r.isOwnMAC(absolute, arpFromMAC)...)
	probe := block{bpf.LoadAbsolute{Off: arpOperation, Size: 2}}
	probe = append(probe, dropUnless(bpf.JumpEqual, arpRequest)...)
	probe = append(probe, anyOf(r.sources(false, absolute, arpTo))...)
	b = append(b, bpf.LoadAbsolute{Off: arpFrom, Size: 4})
	b = append(b, when(bpf.JumpEqual, 0, append(probe, pass))...)
	b = append(b, anyOf(r.sources(false, absolute, arpFrom))...)
	b = append(b, anyOf([]alternative{
		{{at: arpOperation, size: 2, want: arpRequest}},
		{{at: arpOperation, size: 2, want: arpReply}},
	})...)
	return append(b, pass)
}

// Where an IPv4 packet has what, in the frame: RFC 791.
const (
	v4Fragment = frameHeader + 6
	v4Protocol = frameHeader + 9
	v4From     = frameHeader + 12
	v4To       = frameHeader + 16
	v4End      = frameHeader + 20

	v4Offset = 0x1fff // of v4Fragment: which fragment it is
	v4Whole  = 0x3fff // and whether there are more

	protoUDP = 17
)

// What DHCP servers and clients are reached at.
const (
	dhcpServer, dhcpClient   = 67, 68
	dhcpServer6, dhcpClient6 = 547, 546
	sourcePort, targetPort   = 0, 2 // in a UDP header
	ports                    = 4    // the bytes of both
	limitedBroadcast         = 0xffff_ffff
)

// ipv4 decides on IPv4: the source is the NIC's, and it is no DHCP server. Who has no
// address yet may ask one, and nobody else.
func (r Rules) ipv4() block {
	b := needFrame(v4End)
	b = append(b, bpf.LoadAbsolute{Off: v4From, Size: 4})
	b = append(b, when(bpf.JumpEqual, 0, r.discover())...)
	b = append(b, anyOf(r.sources(false, absolute, v4From))...)
	// Only a first fragment has the ports.
	server := block{bpf.LoadAbsolute{Off: v4Fragment, Size: 2}}
	server = append(server, when(bpf.JumpBitsNotSet, v4Offset, append(block{bpf.LoadMemShift{Off: frameHeader}},
		noServer(frameHeader, dhcpServer, dhcpClient)...))...)
	b = append(b, bpf.LoadAbsolute{Off: v4Protocol, Size: 1})
	b = append(b, when(bpf.JumpEqual, protoUDP, server)...)
	return append(b, pass)
}

// noServer drops UDP, whose header is so far behind X, from a server's port or to a
// client's.
func noServer(at, server, client uint32) block {
	b := append(needMore(at+ports), bpf.LoadIndirect{Off: at + sourcePort, Size: 2})
	b = append(b, dropIf(bpf.JumpEqual, server)...)
	b = append(b, bpf.LoadIndirect{Off: at + targetPort, Size: 2})
	return append(b, dropIf(bpf.JumpEqual, client)...)
}

// discover decides on IPv4 from no address.
func (r Rules) discover() block {
	if !r.DHCP {
		return block{drop}
	}
	b := anyOf([]alternative{{
		{at: v4Protocol, size: 1, want: protoUDP},
		{at: v4Fragment, size: 2, mask: v4Whole, want: 0},
		{at: v4To, size: 4, want: limitedBroadcast},
	}})
	b = append(b, bpf.LoadMemShift{Off: frameHeader}) // X is the header's length
	b = append(b, needMore(frameHeader+ports)...)
	b = append(b, anyOf([]alternative{{
		{from: indexed, at: frameHeader + sourcePort, size: 2, want: dhcpClient},
		{from: indexed, at: frameHeader + targetPort, size: 2, want: dhcpServer},
	}})...)
	return append(b, pass)
}
