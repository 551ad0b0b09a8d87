//go:build linux

package dhcp

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
)

// A peer is a plain packet socket on lan0 that sees whole Ethernet frames.
type peer struct {
	t  *testing.T
	fd int
	at *unix.SockaddrLinklayer
}

func newPeer(t *testing.T, ns *netns.Namespace) *peer {
	t.Helper()
	p := &peer{t: t, at: &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: leasetest.Interfaces(t, ns)["lan0"].Index}}
	err := ns.Do(func() (err error) {
		p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p.fd) })
	wait := unix.Timeval{Sec: 5}
	if err := errors.Join(unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait), unix.Bind(p.fd, p.at)); err != nil {
		t.Fatal(err)
	}
	return p
}

// next is the next frame's destination and source MAC.
func (p *peer) next() (to, from nic.MAC) {
	p.t.Helper()
	buf := make([]byte, 2048)
	n, _, err := unix.Recvfrom(p.fd, buf, 0)
	if err != nil || n < 14 {
		p.t.Fatalf("read frame: %d bytes, %v", n, err)
	}
	return nic.MAC(buf[:6]), nic.MAC(buf[6:12])
}

// send sends a message to a port of mac; edit changes the IP packet.
func (p *peer) send(mac nic.MAC, port byte, message string, edit func(ip []byte)) {
	p.t.Helper()
	frame := append(mac.Hardware(), 2, 0, 0, 0, 0, 0x53, 0x08, 0x00)
	ip := encodeFrame(noAddr, everybody, []byte(message))
	copy(ip[ipHeader:], []byte{0, serverPort, 0, port})
	if edit != nil {
		edit(ip)
	}
	if err := unix.Sendto(p.fd, append(frame, ip...), 0, p.at); err != nil {
		p.t.Fatal(err)
	}
}

func listenOn(t *testing.T, w *wire) Conn {
	t.Helper()
	conn, err := NewListener().Listen(w.client, leasetest.Interfaces(t, w.client)["nic0"].Index)
	if err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { conn.Close() }) // ends a Receive that waits in vain
	t.Cleanup(func() { late.Stop(); conn.Close() })
	return conn
}

// The socket stays with the interface: through down and up, another name and
// another MAC, as a container may do to its NIC.
func TestSocketFollowsTheInterface(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	conn, peer := listenOn(t, w), newPeer(t, w.server)
	if err := conn.Send([]byte("hello"), toAnyServer(noAddr)); err != nil {
		t.Fatal(err)
	}
	if to, from := peer.next(); to != allMACs || from != clientMAC {
		t.Errorf("frame from %s to %s, want from %s to all", from, to, clientMAC)
	}
	netnstest.Run(t, w.client, "ip", "link", "set", "nic0", "down")
	buf := make([]byte, maxMessage)
	if _, _, err := conn.Receive(buf); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("receive on a link that is down: %v", err)
	}
	if err := conn.Send([]byte("hello"), toAnyServer(noAddr)); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("send on a link that is down: %v", err)
	}
	other := nic.MAC{0x02, 0, 0x5e, 0x10, 0, 9}
	leasetest.IP(t, w.client, "link set nic0 name eth7", "link set eth7 address "+other.String(), "link set eth7 up")
	leasetest.AwaitRunning(t, w.server, "lan0")
	path := Path{From: noAddr, To: everybody, Via: serverMAC}
	if err := conn.Send([]byte("hello"), path); err != nil {
		t.Fatal(err)
	}
	if to, from := peer.next(); to != serverMAC || from != other {
		t.Errorf("frame from %s to %s, want from %s to %s", from, to, other, serverMAC)
	}
	peer.send(other, clientPort, "answer", nil)
	n, via, err := conn.Receive(buf)
	if err != nil || string(buf[:n]) != "answer" || via != (nic.MAC{2, 0, 0, 0, 0, 0x53}) {
		t.Errorf("received %q via %s, %v", buf[:n], via, err)
	}
}

// The kernel hands up nothing but whole DHCP messages.
func TestSocketHearsOnlyDHCP(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	conn, peer := listenOn(t, w), newPeer(t, w.server)
	peer.send(clientMAC, 69, "another port", nil)
	peer.send(clientMAC, clientPort, "not UDP", func(ip []byte) { ip[9] = unix.IPPROTO_TCP })
	peer.send(clientMAC, clientPort, "a first fragment", func(ip []byte) { ip[6] |= 0x20 })
	peer.send(clientMAC, clientPort, "a later fragment", func(ip []byte) { ip[7] |= 1 })
	peer.send(clientMAC, clientPort, "an answer", nil)
	queued := 0
	err := conn.(*socket).raw.Control(func(fd uintptr) {
		stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err != nil {
			t.Error(err)
			return
		}
		queued = int(stats.Packets)
	})
	buf := make([]byte, maxMessage)
	n, _, got := conn.Receive(buf)
	if err := errors.Join(err, got); err != nil || string(buf[:n]) != "an answer" || queued != 1 {
		t.Errorf("received %q, %v; %d packets queued, want only the last", buf[:n], err, queued)
	}
}

func TestSocketCloseEndsReceive(t *testing.T) {
	t.Parallel()
	conn := listenOn(t, newWire(t))
	done := make(chan error)
	go func() {
		_, _, err := conn.Receive(make([]byte, maxMessage))
		done <- err
	}()
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("receive ended without an error")
	}
	if err := conn.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}

func TestListenOnMissingInterface(t *testing.T) {
	t.Parallel()
	if _, err := NewListener().Listen(netnstest.New(t), 4242); !errors.Is(err, unix.ENODEV) {
		t.Errorf("got %v, want no such device", err)
	}
}
