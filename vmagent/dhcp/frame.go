package dhcp

import (
	"encoding/binary"
	"net/netip"
)

// Ports of DHCP and the lengths in bytes of the headers that we write.
const (
	clientPort = 68
	serverPort = 67
	ipHeader   = 20
	udpHeader  = 8
	protoUDP   = 17
	hopLimit   = 64
)

// encodeFrame wraps a message in UDP and IPv4, from the client's to the
// server's port.
func encodeFrame(from, to netip.Addr, message []byte) []byte {
	frame := make([]byte, ipHeader+udpHeader, ipHeader+udpHeader+len(message))
	ip, udp := frame[:ipHeader], frame[ipHeader:]
	ip[0] = 4<<4 | ipHeader/4
	ip[8], ip[9] = hopLimit, protoUDP
	binary.BigEndian.PutUint16(ip[2:], uint16(cap(frame)))
	copy(ip[12:16], from.AsSlice())
	copy(ip[16:20], to.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], fold(sum(0, ip)))

	length := uint16(udpHeader + len(message))
	binary.BigEndian.PutUint16(udp[0:], clientPort)
	binary.BigEndian.PutUint16(udp[2:], serverPort)
	binary.BigEndian.PutUint16(udp[4:], length)
	check := fold(sum(sum(sum(protoUDP+uint32(length), ip[12:20]), udp), message))
	if check == 0 {
		check = 0xffff // RFC 768: zero would mean "none"
	}
	binary.BigEndian.PutUint16(udp[6:], check)
	return append(frame, message...)
}

// decodeFrame returns the UDP payload for the client's port, and whether there
// is one. The UDP checksum is not looked at: a server on the same machine
// leaves it to a network card that does not exist.
func decodeFrame(frame []byte) (message []byte, ok bool) {
	if len(frame) < ipHeader || frame[0]>>4 != 4 || frame[9] != protoUDP {
		return nil, false
	}
	header, total := int(frame[0]&0xf)*4, int(binary.BigEndian.Uint16(frame[2:]))
	fragment := binary.BigEndian.Uint16(frame[6:])&0x3fff != 0
	if fragment || header < ipHeader || total > len(frame) || total < header+udpHeader {
		return nil, false
	}
	udp := frame[header:total]
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if binary.BigEndian.Uint16(udp[2:]) != clientPort || length < udpHeader || length > len(udp) {
		return nil, false
	}
	return udp[udpHeader:length], true
}

// sum adds b as 16-bit words to the internet checksum.
func sum(s uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
