//go:build linux

package dhcp6

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/gate"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/vmagent/lease"
)

// Ports of DHCPv6.
const (
	clientPort = 546
	serverPort = 547
)

// servers is the multicast address of all servers and relays of a link.
var servers = netip.MustParseAddr("ff02::1:2")

// A Listener opens Conns; one serves all the leases of an agent. It lets only
// a few at a time into the kernel, where each holds a thread for a while.
type Listener struct{ opening gate.Gate }

// NewListener returns a Listener, which holds nothing.
func NewListener() *Listener { return &Listener{opening: gate.New(4)} }

// Listen opens a UDP socket on the link-local address of the interface with
// that index inside ns, to be used from outside. Until the kernel has checked
// that address for duplicates, one or two seconds after the link has come up,
// there is none to use: lease.ErrNotReady. Close it when the conversation is
// over.
func (l *Listener) Listen(ns *netns.Namespace, index int) (Conn, error) {
	var conn *net.UDPConn
	err := l.opening.Pass(func() error {
		return ns.Do(func() error {
			addr, err := linkLocal(index)
			if err != nil {
				return err
			}
			conn, err = listenAt(netip.AddrPortFrom(addr.WithZone(strconv.Itoa(index)), clientPort))
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("open DHCPv6 socket on interface %d in %s: %w", index, ns.ID(), err)
	}
	return &socket{conn: conn, to: netip.AddrPortFrom(servers.WithZone(strconv.Itoa(index)), serverPort)}, nil
}

func listenAt(at netip.AddrPort) (*net.UDPConn, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		// A client in the container, or a copy of our last socket that a fork
		// holds for a moment, shall not be in the way.
		failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		return errors.Join(failed, err)
	}}
	conn, err := config.ListenPacket(context.Background(), "udp6", at.String())
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil, lease.ErrNotReady // it went between our look and this
	}
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

type socket struct {
	conn *net.UDPConn
	to   netip.AddrPort
}

// Send sends to all servers of the link.
func (s *socket) Send(message []byte) error {
	if _, err := s.conn.WriteToUDPAddrPort(message, s.to); err != nil {
		return fmt.Errorf("send DHCPv6 message: %w", err)
	}
	return nil
}

// Receive passes over what comes from beyond the link.
func (s *socket) Receive(buf []byte) (int, error) {
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return 0, fmt.Errorf("receive DHCPv6 message: %w", err)
		}
		if from.Addr().IsLinkLocalUnicast() {
			return n, nil
		}
	}
}

// Close may be called twice; the second time it returns net.ErrClosed.
func (s *socket) Close() error { return s.conn.Close() }

// linkLocal finds the interface's link-local address in the namespace of the
// calling thread.
func linkLocal(index int) (netip.Addr, error) {
	f, err := os.Open("/proc/thread-self/net/if_inet6")
	if errors.Is(err, os.ErrNotExist) {
		return netip.Addr{}, errors.New("the kernel has no IPv6")
	}
	if err != nil {
		return netip.Addr{}, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if addr, ok := readyLinkLocal(lines.Text(), index); ok {
			return addr, nil
		}
	}
	if err := lines.Err(); err != nil {
		return netip.Addr{}, fmt.Errorf("list IPv6 addresses: %w", err)
	}
	return netip.Addr{}, fmt.Errorf("%w: no link-local address; is IPv6 switched on?", lease.ErrNotReady)
}

// readyLinkLocal reads a line: address, index, length, scope and flags in hex,
// name. An address that the kernel still checks, or found to be another's, is
// none.
func readyLinkLocal(line string, index int) (netip.Addr, bool) {
	fields := strings.Fields(line)
	if len(fields) != 6 {
		return netip.Addr{}, false
	}
	raw, err := hex.DecodeString(fields[0])
	addr, ok := netip.AddrFromSlice(raw)
	at, errIndex := strconv.ParseUint(fields[1], 16, 31)
	flags, errFlags := strconv.ParseUint(fields[4], 16, 32)
	if errors.Join(err, errIndex, errFlags) != nil || !ok || int(at) != index || !addr.IsLinkLocalUnicast() {
		return netip.Addr{}, false
	}
	checking := flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0
	return addr, !checking && flags&unix.IFA_F_DADFAILED == 0
}
