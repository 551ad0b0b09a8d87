//go:build linux

package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/gate"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// A Listener opens Conns; one serves all the leases of an agent. It lets only
// a few at a time into the kernel, where each holds a thread for a while:
// closing a packet socket waits for an RCU grace period, some 10 ms.
type Listener struct {
	opening, closing gate.Gate
}

// NewListener returns a Listener, which holds nothing.
func NewListener() *Listener {
	return &Listener{opening: gate.New(4), closing: gate.New(8)}
}

// Listen opens a raw socket on the interface with that index inside ns, to be
// used from outside. It needs no address on the interface and follows it
// through renames; frames leave with the interface's MAC of that moment. Close
// it when the conversation is over: as long as it is open the kernel shows it
// every packet that the interface receives.
func (l *Listener) Listen(ns *netns.Namespace, index int) (Conn, error) {
	var file *os.File
	err := l.opening.Pass(func() error {
		return ns.Do(func() (err error) {
			file, err = openPacketSocket(index)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("open DHCP socket on interface %d in %s: %w", index, ns.ID(), err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("use DHCP socket: %w", err), file.Close())
	}
	return &socket{file: file, raw: raw, index: index, closing: l.closing}, nil
}

type socket struct {
	file    *os.File
	raw     syscall.RawConn
	index   int
	closing gate.Gate
}

// openPacketSocket opens the socket deaf, filters it, and only then binds it,
// so that nothing but DHCP is ever queued.
func openPacketSocket(index int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	filter := &unix.SockFprog{Len: uint16(len(onlyDHCP)), Filter: &onlyDHCP[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, filter); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("attach filter", err)
	}
	at := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: index}
	if err := unix.Bind(fd, at); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), "dhcp"), nil
}

// onlyDHCP lets through unfragmented UDP to port 68. The busiest container
// costs the agent no wake-up that way.
var onlyDHCP = [...]unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 9},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 6, K: protoUDP},
	{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 6},
	{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jt: 4, K: 0x3fff},
	{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: 0},
	{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 2},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: clientPort},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// Send writes one frame.
func (s *socket) Send(message []byte, path Path) error {
	frame := encodeFrame(path.From, path.To, message)
	to := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: s.index, Halen: uint8(len(path.Via))}
	copy(to.Addr[:], path.Via[:])
	var sent error
	err := s.raw.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), frame, 0, to)
		return !errors.Is(sent, unix.EAGAIN)
	})
	if err := errors.Join(err, sent); err != nil {
		return fmt.Errorf("send DHCP message to %s: %w", path.To, err)
	}
	return nil
}

// Receive reads frames until one is DHCP.
func (s *socket) Receive(buf []byte) (n int, via nic.MAC, err error) {
	frame := make([]byte, 60+udpHeader+len(buf)) // 60: the longest IPv4 header
	for {
		var from unix.Sockaddr
		var got error
		err := s.raw.Read(func(fd uintptr) bool {
			n, from, got = unix.Recvfrom(int(fd), frame, 0)
			return !errors.Is(got, unix.EAGAIN)
		})
		if err := errors.Join(err, got); err != nil {
			return 0, nic.MAC{}, fmt.Errorf("receive DHCP message: %w", err)
		}
		message, ok := decodeFrame(frame[:n])
		if !ok || len(message) > len(buf) {
			continue
		}
		return copy(buf, message), neighbour(from), nil
	}
}

// Close may be called twice; the second time it returns os.ErrClosed.
func (s *socket) Close() error { return s.closing.Pass(s.file.Close) }

// neighbour is the sender's MAC, or zero if it is not one that can be answered.
func neighbour(from unix.Sockaddr) (mac nic.MAC) {
	ll, ok := from.(*unix.SockaddrLinklayer)
	if !ok || int(ll.Halen) != len(mac) || ll.Addr[0]&1 == 1 {
		return nic.MAC{}
	}
	copy(mac[:], ll.Addr[:])
	return mac
}

// bigEndian gives a protocol number in network order.
func bigEndian(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
