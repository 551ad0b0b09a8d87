//go:build linux

package portguard

import "golang.org/x/net/bpf"

// Where an IPv6 packet has what, in the frame: RFC 8200.
const (
	v6Next = frameHeader + 6
	v6From = frameHeader + 8
	v6End  = frameHeader + 40
)

// The headers that may stand before what a packet is about.
const (
	headerHops     = 0
	headerRouting  = 43
	headerFragment = 44
	headerAuth     = 51
	headerTarget   = 60
	headerMobility = 135

	fragmentOffset = 0xfff8 // in the second two bytes of that header

	protoICMPv6 = 58
)

// chained are the headers whose length is in their second byte, in units of eight.
var chained = []uint32{headerHops, headerRouting, headerTarget, headerMobility}

// maxHeaders are followed; a packet with more is dropped. RFC 7113: who follows none
// does not see the router advertisement behind one.
const maxHeaders = 6

// What the program remembers of an IPv6 packet.
const (
	isUnspecified = iota // it is from ::
	isFragment           // and the first one
	next                 // the header that X is at
	kind                 // of an ICMPv6 message
)

// ipv6 decides on IPv6: the source is the NIC's, and what it says of neighbours too;
// it is no router and no DHCPv6 server. From :: come only those who check an address,
// and what they need for that.
func (r Rules) ipv6() block {
	b := needFrame(v6End)
	b = append(b, bpf.LoadConstant{Dst: bpf.RegA, Val: 0}, bpf.StoreScratch{Src: bpf.RegA, N: isUnspecified}, bpf.StoreScratch{Src: bpf.RegA, N: isFragment})
	b = append(b, bpf.LoadAbsolute{Off: v6From, Size: 4})
	for at := uint32(4); at < 16; at += 4 {
		b = append(b, bpf.TAX{}, bpf.LoadAbsolute{Off: v6From + at, Size: 4}, bpf.ALUOpX{Op: bpf.ALUOpOr})
	}
	b = append(b, when(bpf.JumpEqual, 0, block{bpf.LoadConstant{Dst: bpf.RegA, Val: 1}, bpf.StoreScratch{Src: bpf.RegA, N: isUnspecified}})...)
	b = append(b, recall(isUnspecified))
	b = append(b, when(bpf.JumpEqual, 0, anyOf(r.sources(true, absolute, v6From)))...)
	b = append(b, bpf.LoadAbsolute{Off: v6Next, Size: 1}, bpf.StoreScratch{Src: bpf.RegA, N: next})
	b = append(b, bpf.LoadConstant{Dst: bpf.RegX, Val: v6End})
	b = append(b, follow()...)
	b = append(b, recall(next))
	b = append(b, when(bpf.JumpEqual, protoICMPv6, r.icmp6())...)
	b = append(b, recall(isUnspecified))
	b = append(b, dropIf(bpf.JumpNotEqual, 0)...)
	b = append(b, recall(next))
	b = append(b, when(bpf.JumpEqual, protoUDP, noServer(0, dhcpServer6, dhcpClient6))...)
	return append(b, pass)
}

func recall(what int) bpf.Instruction { return bpf.LoadScratch{Dst: bpf.RegA, N: what} }

// follow leaves X and next at the header that the packet is about. A later fragment
// has none, and passes.
func follow() block {
	b := block{recall(next)}
	for _, header := range append([]uint32{headerFragment, headerAuth}, chained...) {
		b = append(b, dropIf(bpf.JumpEqual, header)...)
	}
	for range maxHeaders {
		b = append(step(len(b)), b...)
	}
	return b
}

// step goes behind one header, or over so many instructions if there is none more.
func step(rest int) block {
	b := block{bpf.Jump{Skip: uint32(rest)}}
	add := func(values []uint32, body block) {
		b = append(whenOneOf(values, append(body, bpf.Jump{Skip: uint32(len(b))})), b...)
	}
	add([]uint32{headerFragment}, behindFragment())
	add([]uint32{headerAuth}, behindHeader(2, 2))
	add(chained, behindHeader(1, 3))
	return append(block{recall(next)}, b...)
}

// behindHeader goes on by what the second byte says: so many units more, of two to
// the power of shift.
func behindHeader(more, shift uint32) block {
	b := append(needMore(2), bpf.LoadIndirect{Off: 0, Size: 1}, bpf.StoreScratch{Src: bpf.RegA, N: next})
	b = append(b, bpf.LoadIndirect{Off: 1, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: more}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: shift})
	return append(b, advance()...)
}

func behindFragment() block {
	later := append(block{recall(isUnspecified)}, dropIf(bpf.JumpNotEqual, 0)...)
	b := append(needMore(8), bpf.LoadIndirect{Off: 2, Size: 2})
	b = append(b, when(bpf.JumpBitsSet, fragmentOffset, append(later, pass))...)
	b = append(b, bpf.LoadConstant{Dst: bpf.RegA, Val: 1}, bpf.StoreScratch{Src: bpf.RegA, N: isFragment})
	b = append(b, bpf.LoadIndirect{Off: 0, Size: 1}, bpf.StoreScratch{Src: bpf.RegA, N: next})
	b = append(b, bpf.LoadConstant{Dst: bpf.RegA, Val: 8})
	return append(b, advance()...)
}

// The ICMPv6 messages that are not everybody's: RFC 4861, 2710, 3810.
const (
	reportV1        = 131
	doneV1          = 132
	routerSolicit   = 133
	routerAdvert    = 134
	neighborSolicit = 135
	neighborAdvert  = 136
	redirect        = 137
	reportV2        = 143

	neighborTarget = 8  // where solicitation and advertisement have it
	neighborEnd    = 24 // where their options begin
	routerEnd      = 8  // where a router solicitation's do
)

// icmp6 decides on the ICMPv6 message that X is at. None about neighbours comes in
// fragments (RFC 6980).
func (r Rules) icmp6() block {
	b := append(needMore(4), bpf.LoadIndirect{Off: 0, Size: 1}, bpf.StoreScratch{Src: bpf.RegA, N: kind})
	b = append(b, dropIf(bpf.JumpEqual, routerAdvert)...)
	b = append(b, dropIf(bpf.JumpEqual, redirect)...)
	checks := append(block{recall(isUnspecified)}, when(bpf.JumpNotEqual, 0, anyOf(r.sources(true, indexed, neighborTarget)))...)
	b = append(b, when(bpf.JumpEqual, neighborSolicit, r.about(neighborEnd, checks))...)
	says := append(block{recall(isUnspecified)}, dropIf(bpf.JumpNotEqual, 0)...)
	says = append(says, anyOf(r.sources(true, indexed, neighborTarget))...)
	b = append(b, when(bpf.JumpEqual, neighborAdvert, r.about(neighborEnd, says))...)
	b = append(b, when(bpf.JumpEqual, routerSolicit, r.about(routerEnd, nil))...)
	b = append(b, recall(isUnspecified))
	b = append(b, when(bpf.JumpEqual, 0, block{pass})...)
	b = append(b, recall(kind))
	b = append(b, whenOneOf([]uint32{reportV1, doneV1, reportV2}, block{pass})...)
	return append(b, drop)
}

// maxOptions are looked at; a message with more is dropped.
const maxOptions = 4

// The options that say who has an address, and where they have the MAC.
const (
	optionSource = 1
	optionTarget = 2
	optionMAC    = 2
	optionUnit   = 8 // bytes
)

// about decides on a message about neighbours: what is checked, and that each MAC in
// the options, which begin so far behind X, is the NIC's.
func (r Rules) about(options uint32, check block) block {
	b := append(block{recall(isFragment)}, dropIf(bpf.JumpNotEqual, 0)...)
	b = append(b, needMore(options)...)
	b = append(b, check...)
	b = append(b, bpf.LoadConstant{Dst: bpf.RegA, Val: options})
	b = append(b, advance()...)
	atEnd := block{bpf.LoadExtension{Num: bpf.ExtLen}, bpf.JumpIfX{Cond: bpf.JumpEqual, SkipFalse: 1}, pass}
	for range maxOptions {
		b = append(b, atEnd...)
		b = append(b, needMore(optionUnit)...)
		b = append(b, bpf.LoadIndirect{Off: 0, Size: 1})
		b = append(b, whenOneOf([]uint32{optionSource, optionTarget}, r.isOwnMAC(indexed, optionMAC))...)
		b = append(b, bpf.LoadIndirect{Off: 1, Size: 1})
		b = append(b, dropIf(bpf.JumpEqual, 0)...)
		b = append(b, bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 3})
		b = append(b, advance()...)
	}
	return append(append(b, atEnd...), drop)
}
