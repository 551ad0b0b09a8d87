//go:build linux

package announce

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/gate"
	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
)

// A Wire is an open way to the link that a NIC is on. It is used by one
// goroutine, but for SetReadDeadline.
type Wire interface {
	// Send writes one Ethernet frame.
	Send(frame []byte) error
	// Receive reads one Ethernet frame of somebody else that is ARP or about
	// IPv6 neighbours. After the deadline the error is os.ErrDeadlineExceeded.
	Receive(buf []byte) (n int, err error)
	// SetReadDeadline ends a Receive that is under way too.
	SetReadDeadline(t time.Time) error
	// Look reads the NIC's addresses from the kernel.
	Look() (Sight, error)
	Close() error
}

// Sight is how the kernel sees the NIC.
type Sight struct {
	// Running: the link has a carrier; frames sent before are lost.
	Running bool
	Addrs   []link.Addr
}

// A Listener opens Wires; one serves all the watchers of an agent. It lets
// only a few at a time into the kernel, where each holds a thread for a while:
// closing a packet socket waits for an RCU grace period, some 10 ms.
type Listener struct {
	opening, looking, closing gate.Gate
}

// NewListener returns a Listener, which holds nothing.
func NewListener() *Listener {
	return &Listener{opening: gate.New(4), looking: gate.New(4), closing: gate.New(8)}
}

// Open opens a Wire at the interface with that index inside ns, to be used
// from outside. It needs no address there. The namespace must stay open for
// as long as the Wire is.
func (l *Listener) Open(ns *netns.Namespace, index int) (Wire, error) {
	s := &socket{listener: l, index: index}
	err := l.opening.Pass(func() (err error) {
		if err = ns.Do(s.listen); err != nil {
			return err
		}
		if s.links, err = link.Open(ns); err != nil {
			return errors.Join(err, s.conn.Close())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listen on interface %d in %s: %w", index, ns.ID(), err)
	}
	return s, nil
}

type socket struct {
	listener *Listener
	index    int
	conn     *packet.Conn
	links    *link.Handle
}

// listen opens the packet socket. It takes all protocols, because a socket of
// only one would need a second beside it, and lets the filter choose.
func (s *socket) listen() (err error) {
	filter, err := bpf.Assemble(aboutNeighbours)
	if err != nil {
		return fmt.Errorf("assemble filter: %w", err)
	}
	s.conn, err = packet.Listen(&net.Interface{Index: s.index}, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: filter})
	if err != nil {
		return err
	}
	// The filter drops what the container sends too, but only after the kernel
	// has made a copy of it.
	raw, err := s.conn.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1) // since Linux 4.20
		}))
	}
	if err != nil {
		return errors.Join(err, s.conn.Close())
	}
	return nil
}

// aboutNeighbours lets through ARP, and ICMPv6 about neighbours, that others
// send on this very network: not on a VLAN above it. The busiest container
// costs the agent no wake-up that way.
var aboutNeighbours = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 11},
	bpf.LoadExtension{Num: bpf.ExtVLANTag},
	bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0fff},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 8},
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherARP, SkipTrue: 7},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherIPv6, SkipTrue: 5},
	bpf.LoadAbsolute{Off: etherHeader + 6, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoICMPv6, SkipTrue: 3},
	bpf.LoadAbsolute{Off: etherHeader + ipv6Header, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeNA, SkipTrue: 2},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeNS, SkipTrue: 1},
	bpf.RetConstant{Val: 0},
	bpf.RetConstant{Val: maxFrame},
}

// maxFrame is longer than any ARP packet or neighbour message needs to be.
const maxFrame = 2048

// Send writes one frame.
func (s *socket) Send(frame []byte) error {
	// The kernel copies the address into the link layer's; the frame's own counts.
	if _, err := s.conn.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])}); err != nil {
		return fmt.Errorf("send frame: %w", err)
	}
	return nil
}

// Receive reads the next frame that passes the filter.
func (s *socket) Receive(buf []byte) (int, error) {
	n, _, err := s.conn.ReadFrom(buf)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("receive frame: %w", err)
	}
	return n, err
}

// SetReadDeadline bounds Receive.
func (s *socket) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// Look asks the kernel twice: for the link and for its addresses.
func (s *socket) Look() (sight Sight, err error) {
	err = s.listener.looking.Pass(func() error {
		l, err := s.links.ByIndex(s.index)
		if err != nil {
			return err
		}
		sight.Running = l.Running
		sight.Addrs, err = s.links.Addrs(l)
		return err
	})
	return sight, err
}

// Close closes the sockets.
func (s *socket) Close() error {
	s.links.Close()
	return s.listener.closing.Pass(s.conn.Close)
}
