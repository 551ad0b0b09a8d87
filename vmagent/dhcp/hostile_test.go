package dhcp

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/nicferry/nicferry/nic"
)

// Answers that are not for us, or not to what we asked, change nothing.
func TestForeignAnswersAreIgnored(t *testing.T) {
	for name, change := range map[string]func(*dhcpv4.DHCPv4){
		"another transaction":      func(m *dhcpv4.DHCPv4) { m.TransactionID[0]++ },
		"another MAC":              func(m *dhcpv4.DHCPv4) { m.ClientHWAddr = net.HardwareAddr{2, 0, 0, 0, 0, 9} },
		"longer MAC":               func(m *dhcpv4.DHCPv4) { m.ClientHWAddr = append(net.HardwareAddr{}, append(m.ClientHWAddr, 0)...) },
		"a request":                func(m *dhcpv4.DHCPv4) { m.OpCode = dhcpv4.OpcodeBootRequest },
		"no type":                  func(m *dhcpv4.DHCPv4) { m.DeleteOption(dhcpv4.OptionDHCPMessageType) },
		"NAK":                      func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeNak)) },
		"ACK without rapid commit": func(m *dhcpv4.DHCPv4) { m.DeleteOption(dhcpv4.OptionRapidCommit) },
		"no server id":             func(m *dhcpv4.DHCPv4) { m.DeleteOption(dhcpv4.OptionServerIdentifier) },
		"mask of one bit":          func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(1, 32))) },
		"no time":                  func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptIPAddressLeaseTime(0)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, good := newServer("10.0.0.66", "10.0.0.66"), newServer("10.0.0.1", "10.0.0.100")
				bad.change, good.delay = change, 100*time.Millisecond
				c := newClient(t, &lan{servers: []*fakeServer{bad, good}}, nil)
				after(200 * time.Millisecond)
				c.wantBound("10.0.0.100/24")
			})
		})
	}
}

// An address in use does not change because a server says another one.
func TestRenewalForAnotherAddressIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer("10.0.0.1", "10.0.0.100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, nil)
		synctest.Wait()
		l.set(func() {
			server.change = func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IPv4(10, 0, 0, 7) }
		})
		after(50 * time.Second)
		c.wantBound("10.0.0.100/24")
		if err := c.State().Err; err == nil {
			t.Error("no warning")
		}
	})
}

// A NAK while renewing counts only from the lease's own server.
func TestRefusalOfAStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer("10.0.0.1", "10.0.0.100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, nil)
		synctest.Wait()
		l.set(func() {
			server.refuse = true
			server.change = func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 0, 0, 66))) }
		})
		after(50 * time.Second)
		c.wantBound("10.0.0.100/24")
		if c.everLost() {
			t.Error("the address dropped")
		}
	})
}

// A server that offers and then refuses must not be asked without a pause.
func TestRefusalsDoNotStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer("10.0.0.1", "10.0.0.100")
		server.rapid, server.refuse = false, true
		server.change = func(m *dhcpv4.DHCPv4) {
			if m.MessageType() == dhcpv4.MessageTypeNak {
				m.UpdateOption(dhcpv4.OptMessage("\x1b[2J$(reboot)\n" + strings.Repeat("x", 200)))
			}
		}
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, nil)
		after(time.Hour)
		if n := len(l.log()); n > 300 { // two messages per 32–64 s
			t.Errorf("%d messages in an hour", n)
		}
		s := c.State()
		if s.Bound || !errors.Is(s.Err, ErrRefused) {
			t.Fatalf("state %+v, want refused", s)
		}
		if text := s.Err.Error(); strings.ContainsAny(text, "\x1b\n") || len(text) > 300 {
			t.Errorf("the server's text came through: %q", text)
		}
	})
}

// A socket that breaks, or cannot be opened, is opened again.
func TestBrokenSocketIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lan{servers: []*fakeServer{newServer("10.0.0.1", "10.0.0.100")}, broken: errors.New("network is down")}
		c := newClient(t, l, nil)
		after(20 * time.Second)
		if s := c.State(); s.Bound || s.Err == nil {
			t.Fatalf("state %+v, want trouble", s)
		}
		l.set(func() { l.broken = nil; l.servers[0].silent = true })
		after(40 * time.Second)
		l.set(func() {
			l.opened[len(l.opened)-1].Close() // as when the link goes down
			l.servers[0].silent = false
		})
		after(64 * time.Second)
		c.wantBound("10.0.0.100/24")
		if len(l.opened) < 2 {
			t.Errorf("%d sockets, want a second one", len(l.opened))
		}
	})
}

func TestFrameRoundTrip(t *testing.T) {
	from, to := netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("10.0.0.1")
	for _, size := range []int{0, 1, 300, 301} {
		frame := encodeFrame(from, to, make([]byte, size))
		if got := fold(sum(0, frame[:ipHeader])); got != 0 {
			t.Errorf("IP header checksum off by %#x", got)
		}
		pseudo := sum(protoUDP+uint32(len(frame)-ipHeader), frame[12:20])
		if got := fold(sum(pseudo, frame[ipHeader:])); got != 0 {
			t.Errorf("UDP checksum off by %#x", got)
		}
		copy(frame[ipHeader:], []byte{0, serverPort, 0, clientPort})
		message, ok := decodeFrame(append(frame, "Ethernet padding"...))
		if !ok || len(message) != size {
			t.Errorf("%d bytes came back as %d, %t", size, len(message), ok)
		}
	}
}

func FuzzDecodeFrame(f *testing.F) {
	frame := encodeFrame(noAddr, everybody, []byte("message"))
	copy(frame[ipHeader:], []byte{0, serverPort, 0, clientPort})
	f.Add(frame)
	f.Add(frame[:ipHeader])
	f.Add([]byte{0x4f})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if message, ok := decodeFrame(frame); ok && len(message) > len(frame)-ipHeader-udpHeader {
			t.Errorf("message of %d bytes in a frame of %d", len(message), len(frame))
		}
	})
}

func TestUnknownNeighbourMeansBroadcast(t *testing.T) {
	var lease Lease
	lease.Addr, lease.Server = netip.MustParsePrefix("10.0.0.7/24"), netip.MustParseAddr("10.0.0.1")
	if got := lease.toServer().Via; got != allMACs {
		t.Errorf("via %s, want broadcast", got)
	}
	lease.Via = nic.MAC{2, 0, 0, 0, 0, 1}
	if got := lease.toServer().Via; got != lease.Via {
		t.Errorf("via %s, want %s", got, lease.Via)
	}
}
