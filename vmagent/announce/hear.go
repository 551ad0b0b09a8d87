package announce

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/nicferry/nicferry/nic"
)

// A word is what a frame says of an address: that a NIC has it, or wants it.
type word struct {
	addr netip.Addr
	mac  nic.MAC
	// wants: the sender probes whether it may have the address.
	wants bool
}

// hear reads a frame that anybody may have sent. It is not ok if the frame
// says nothing of an address, or comes from ourselves: a bridge or a switch
// with a loop reflects our own frames.
func hear(frame []byte, own nic.MAC) (word, bool) {
	if len(frame) < etherHeader {
		return word{}, false
	}
	from := nic.MAC(frame[6:12])
	var w word
	var ok bool
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		w, ok = hearARP(frame[etherHeader:])
	case etherIPv6:
		w, ok = hearNDP(frame[etherHeader:])
	}
	if from == own || w.mac == own {
		return word{}, false
	}
	if !unicast(w.mac) {
		w.mac = from
	}
	return w, ok && usual(w.addr) && unicast(w.mac)
}

// hearARP takes requests and replies alike: RFC 5227 does.
func hearARP(b []byte) (word, bool) {
	var p arp.Packet
	if p.UnmarshalBinary(b) != nil || p.HardwareType != 1 || p.ProtocolType != 0x0800 ||
		p.HardwareAddrLength != 6 || p.IPLength != 4 ||
		p.Operation != arp.OperationRequest && p.Operation != arp.OperationReply {
		return word{}, false
	}
	w := word{addr: p.SenderIP, mac: nic.MAC(p.SenderHardwareAddr)}
	if p.SenderIP.IsUnspecified() && p.Operation == arp.OperationRequest {
		w.addr, w.wants = p.TargetIP, true
	}
	return w, true
}

// hearNDP takes advertisements, and the solicitations of those that probe, as
// RFC 4861 §7.1 has them checked.
func hearNDP(b []byte) (word, bool) {
	if len(b) < ipv6Header || b[0]>>4 != 6 || b[6] != protoICMPv6 || b[7] != hopLimit {
		return word{}, false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	body := b[ipv6Header:]
	if length > len(body) || length < 4 || body[1] != 0 || !sound(b[8:ipv6Header], body[:length]) {
		return word{}, false
	}
	if body[0] != typeNS && body[0] != typeNA {
		return word{}, false
	}
	m, err := ndp.ParseMessage(body[:length])
	if err != nil {
		return word{}, false
	}
	switch m := m.(type) {
	case *ndp.NeighborAdvertisement:
		return word{addr: m.TargetAddress, mac: linkLayer(m.Options)}, true
	case *ndp.NeighborSolicitation:
		src := netip.AddrFrom16([16]byte(b[8:24]))
		return word{addr: m.TargetAddress, wants: true}, src.IsUnspecified()
	}
	return word{}, false
}

// linkLayer is the target's MAC that an advertisement gives, or zero.
func linkLayer(options []ndp.Option) nic.MAC {
	for _, o := range options {
		if lla, ok := o.(*ndp.LinkLayerAddress); ok && lla.Direction == ndp.Target && len(lla.Addr) == len(nic.MAC{}) {
			return nic.MAC(net.HardwareAddr(lla.Addr))
		}
	}
	return nic.MAC{}
}

// sound says whether the ICMPv6 checksum is right.
func sound(addresses, body []byte) bool {
	sum := uint32(len(body)) + protoICMPv6
	for _, part := range [][]byte{addresses, body} {
		for len(part) > 1 {
			sum += uint32(binary.BigEndian.Uint16(part))
			part = part[2:]
		}
		if len(part) == 1 {
			sum += uint32(part[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum == 0xffff
}

func unicast(m nic.MAC) bool { return !m.IsZero() && m[0]&1 == 0 }
