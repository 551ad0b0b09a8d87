//go:build linux

package portguard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ownMAC     = nic.MAC{0x02, 0, 0x5e, 0x10, 0, 1}
	foreignMAC = nic.MAC{0x02, 0, 0x5e, 0x20, 0, 1}
	peerMAC    = nic.MAC{0x02, 0, 0x5e, 0x30, 0, 1}
	allMACs    = nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes   = nic.MAC{0x33, 0x33, 0, 0, 0, 1}
)

// A lan is a switch with a container at a port that is filtered, and a peer at
// another that hears all.
type lan struct {
	testing.TB
	switches, far *netns.Namespace // where the switch is, and where the peer
	port          link.Link
	host          *link.Handle
	sender        *packet.Conn
	peer          *packet.Conn
	said          uint32 // how many markers
}

// newLAN lets the container send through a socket that takes whole frames, as root in
// a container may.
func newLAN(t testing.TB) *lan {
	t.Helper()
	host, inside, far := netnstest.New(t), netnstest.New(t), netnstest.New(t)
	for _, ns := range []*netns.Namespace{host, inside, far} { // what the kernel says by itself is not looked for
		if err := ns.SetSysctl("1", "ipv6", "conf", "default", "disable_ipv6"); err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range []string{"arp", "ip", "ip6"} { // where netfilter drops what is malformed
		if err := host.SetSysctl("0", "bridge", "bridge-nf-call-"+table+"tables"); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	netnstest.Run(t, host, "ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
	netnstest.Run(t, host, "ip", "link", "set", "br0", "up")
	l := &lan{TB: t, switches: host, far: far}
	var err error
	if l.host, err = link.Open(host); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.host.Close)
	l.sender = l.plug(host, inside, "port1", ownMAC)
	l.peer = l.plug(host, far, "port2", peerMAC)
	if l.port, err = l.host.ByName("port1"); err != nil {
		t.Fatal(err)
	}
	l.awaitSwitch()
	return l
}

// awaitSwitch waits until the switch has taken note of both carriers.
func (l *lan) awaitSwitch() {
	l.Helper()
	buf := make([]byte, 64)
	hello := ether(allMACs, ownMAC, 0x88b5, make([]byte, 46))
	for range 1000 {
		_, err := l.sender.WriteTo(hello, &packet.Addr{HardwareAddr: net.HardwareAddr(allMACs[:])})
		if err == nil {
			err = l.peer.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		}
		if err != nil {
			l.Fatal(err)
		}
		if n, _, err := l.peer.ReadFrom(buf); err == nil && bytes.Equal(buf[:n], hello) {
			return
		}
	}
	l.Fatal("the peer hears nothing")
}

// plug puts a namespace's eth0 at a port of the switch, and opens a socket there.
func (l *lan) plug(host, ns *netns.Namespace, port string, mac nic.MAC) *packet.Conn {
	l.Helper()
	netnstest.Run(l.TB, host, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth9", "address", mac.String())
	netnstest.Run(l.TB, host, "ip", "link", "set", port, "master", "br0", "up")
	into, err := link.Open(ns)
	if err != nil {
		l.Fatal(err)
	}
	defer into.Close()
	inner, err := l.host.ByName("eth9")
	if err != nil {
		l.Fatal(err)
	}
	at, err := l.host.Move(inner, into, link.Change{Name: "eth0", Up: new(true)})
	if err != nil {
		l.Fatal(err)
	}
	var conn *packet.Conn
	if err := ns.Do(func() (err error) {
		conn, err = packet.Listen(&net.Interface{Index: at.Index}, packet.Raw, unix.ETH_P_ALL, nil)
		return err
	}); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { conn.Close() })
	return conn
}

// guard has the port go by the rules.
func (l *lan) guard(r Rules) {
	l.Helper()
	program, err := r.Program()
	if err == nil {
		err = l.host.FilterIngress(l.port, program)
	}
	if err != nil {
		l.Fatal(err)
	}
}

// passes says whether the peer hears a frame of the container. A marker behind it,
// which passes by the rules or without any, tells that it would have been there.
func (l *lan) passes(frame []byte, marker netip.Addr) bool {
	l.Helper()
	l.said++
	after := udp4(ownMAC, marker, netip.MustParseAddr("198.51.100.99"), 9999, 9999, binary.BigEndian.AppendUint32([]byte("marker"), l.said))
	for _, f := range [][]byte{frame, after} {
		if _, err := l.sender.WriteTo(f, &packet.Addr{HardwareAddr: net.HardwareAddr(f[:6])}); err != nil {
			l.Fatal(err)
		}
	}
	heard := false
	buf := make([]byte, 4096)
	if err := l.peer.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		l.Fatal(err)
	}
	for {
		n, _, err := l.peer.ReadFrom(buf)
		if err != nil {
			l.Fatalf("the marker is not heard: %v", err)
		}
		got := buf[:n]
		switch {
		case bytes.Equal(got, after):
			return heard
		case bytes.Equal(got, frame), bytes.Equal(got, untagged(frame)):
			heard = true
		}
	}
}

// untagged is a frame as a packet socket gives it: without its VLAN tag.
func untagged(frame []byte) []byte {
	if len(frame) < 18 || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_8021Q && binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_8021AD {
		return frame
	}
	return append(bytes.Clone(frame[:12]), frame[16:]...)
}

func ether(to, from nic.MAC, kind uint16, body []byte) []byte {
	f := append(append(bytes.Clone(to[:]), from[:]...), 0, 0)
	binary.BigEndian.PutUint16(f[12:], kind)
	return append(f, body...)
}

func tagged(frame []byte, kind, tag uint16) []byte {
	f := bytes.Clone(frame[:12])
	f = binary.BigEndian.AppendUint16(f, kind)
	f = binary.BigEndian.AppendUint16(f, tag)
	return append(f, frame[12:]...)
}

func arp(from nic.MAC, op uint16, sender nic.MAC, addr, target string) []byte {
	p := []byte{0, 1, 8, 0, 6, 4, byte(op >> 8), byte(op)}
	p = append(p, sender[:]...)
	p = append(p, netip.MustParseAddr(addr).AsSlice()...)
	p = append(p, make([]byte, 6)...)
	return ether(allMACs, from, 0x0806, append(p, netip.MustParseAddr(target).AsSlice()...))
}

// ipv4 is a packet without a checksum: a switch does not look.
func ipv4(from nic.MAC, src, dst netip.Addr, proto byte, fragment uint16, options, body []byte) []byte {
	p := []byte{byte(4<<4 | (5 + len(options)/4)), 0, 0, 0, 0, 7, 0, 0, 64, proto, 0, 0}
	binary.BigEndian.PutUint16(p[2:], uint16(20+len(options)+len(body)))
	binary.BigEndian.PutUint16(p[6:], fragment)
	p = append(append(p, src.AsSlice()...), dst.AsSlice()...)
	return ether(allMACs, from, 0x0800, append(append(p, options...), body...))
}

func header(src, dst uint16, body []byte) []byte {
	u := binary.BigEndian.AppendUint16(nil, src)
	u = binary.BigEndian.AppendUint16(u, dst)
	u = binary.BigEndian.AppendUint16(u, uint16(8+len(body)))
	return append(append(u, 0, 0), body...)
}

func udp4(from nic.MAC, src, dst netip.Addr, sport, dport uint16, body []byte) []byte {
	return ipv4(from, src, dst, 17, 0, nil, header(sport, dport, body))
}

// ipv6 is a packet whose headers are in the body, the first being next.
func ipv6(from nic.MAC, src string, next byte, body []byte) []byte {
	p := append([]byte{6 << 4, 0, 0, 0, byte(len(body) >> 8), byte(len(body)), next, 255}, netip.MustParseAddr(src).AsSlice()...)
	p = append(p, netip.MustParseAddr("ff02::1").AsSlice()...)
	return ether(allNodes, from, 0x86dd, append(p, body...))
}

// message is an ICMPv6 message: four bytes after the head, a target if there is one,
// and options.
func message(kind byte, target string, options ...[]byte) []byte {
	m := []byte{kind, 0, 0, 0, 0, 0, 0, 0}
	if target != "" {
		m = append(m, netip.MustParseAddr(target).AsSlice()...)
	}
	return append(m, bytes.Join(options, nil)...)
}

func hasMAC(option byte, mac nic.MAC) []byte { return append([]byte{option, 1}, mac[:]...) }

// behind puts a message behind a header of that many times eight bytes, whose own
// type its forerunner has.
func behind(next byte, units int, message []byte) []byte {
	return append(append([]byte{next, byte(units - 1)}, make([]byte, 8*units-2)...), message...)
}

// fragment is the header of one.
func fragment(next byte, offset uint16, more bool, body []byte) []byte {
	at := offset << 3
	if more {
		at |= 1
	}
	return append([]byte{next, 0, byte(at >> 8), byte(at), 0, 0, 0, 7}, body...)
}
