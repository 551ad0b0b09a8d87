package announce

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/nicferry/nicferry/nic"
)

// The numbers of Ethernet, IPv6 and ICMPv6 that frames are made of and read by.
const (
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	etherHeader = 14
	ipv6Header  = 40

	protoICMPv6 = 58
	// hopLimit proves that no router has passed the message on.
	hopLimit = 255

	typeNS = 135
	typeNA = 136
)

var (
	broadcast = nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes  = netip.MustParseAddr("ff02::1")
)

// probeFrame asks who has addr without saying that we want it, so that nobody
// learns our MAC for it: RFC 5227 §2.1.1, RFC 4862 §5.4.2.
func probeFrame(mac nic.MAC, addr netip.Addr) ([]byte, error) {
	if addr.Is4() {
		return arpFrame(arp.OperationRequest, mac, netip.IPv4Unspecified(), nic.MAC{}, addr)
	}
	return solicitation(mac, netip.IPv6Unspecified(), addr)
}

// requestFrame asks for the MAC of addr, in the name of from.
func requestFrame(mac nic.MAC, from, addr netip.Addr) ([]byte, error) {
	if addr.Is4() {
		return arpFrame(arp.OperationRequest, mac, from, nic.MAC{}, addr)
	}
	return solicitation(mac, from, addr, &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac.Hardware()})
}

// noticeFrame tells everybody that addr is ours: a gratuitous ARP request, or
// an unsolicited neighbour advertisement.
func noticeFrame(mac nic.MAC, addr netip.Addr) ([]byte, error) {
	if addr.Is4() {
		return arpFrame(arp.OperationRequest, mac, addr, nic.MAC{}, addr)
	}
	na := &ndp.NeighborAdvertisement{
		Override: true, TargetAddress: addr,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac.Hardware()}},
	}
	return ndpFrame(mac, addr, allNodes, na)
}

// replyFrame is the notice of an IPv4 address as an ARP reply. Kernels take it
// for gratuitous only if its target MAC is the sender's.
func replyFrame(mac nic.MAC, addr netip.Addr) ([]byte, error) {
	return arpFrame(arp.OperationReply, mac, addr, mac, addr)
}

func arpFrame(op arp.Operation, mac nic.MAC, from netip.Addr, target nic.MAC, to netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(op, mac.Hardware(), from, target.Hardware(), to)
	if err != nil {
		return nil, fmt.Errorf("encode ARP for %s: %w", to, err)
	}
	body, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode ARP for %s: %w", to, err)
	}
	return ether(broadcast, mac, etherARP, body), nil
}

func solicitation(mac nic.MAC, from, target netip.Addr, options ...ndp.Option) ([]byte, error) {
	group, err := ndp.SolicitedNodeMulticast(target)
	if err != nil {
		return nil, fmt.Errorf("encode neighbour solicitation for %s: %w", target, err)
	}
	return ndpFrame(mac, from, group, &ndp.NeighborSolicitation{TargetAddress: target, Options: options})
}

func ndpFrame(mac nic.MAC, from, group netip.Addr, m ndp.Message) ([]byte, error) {
	body, err := ndp.MarshalMessageChecksum(m, from, group)
	if err != nil {
		return nil, fmt.Errorf("encode neighbour message to %s: %w", group, err)
	}
	packet := make([]byte, ipv6Header, ipv6Header+len(body))
	packet[0] = 6 << 4
	binary.BigEndian.PutUint16(packet[4:], uint16(len(body)))
	packet[6], packet[7] = protoICMPv6, hopLimit
	src, dst := from.As16(), group.As16()
	copy(packet[8:], src[:])
	copy(packet[24:], dst[:])
	to := nic.MAC{0x33, 0x33, dst[12], dst[13], dst[14], dst[15]}
	return ether(to, mac, etherIPv6, append(packet, body...)), nil
}

func ether(to, from nic.MAC, kind uint16, body []byte) []byte {
	frame := make([]byte, 0, etherHeader+len(body))
	frame = append(append(frame, to[:]...), from[:]...)
	frame = binary.BigEndian.AppendUint16(frame, kind)
	return append(frame, body...)
}
