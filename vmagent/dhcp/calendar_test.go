//go:build linux

package dhcp

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"

	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
)

// inBubble starts a keeper on the wire's real NIC with a clock that jumps to
// the next thing to do. It stands still while an answer is waited for, because
// that comes from outside: an answer that never comes would hang the test.
func (w *wire) inBubble(t *testing.T, lease *Lease) *Keeper {
	t.Helper()
	index := leasetest.Interfaces(t, w.client)["nic0"].Index
	k, err := Start(Options{
		Listen: func() (Conn, error) { return w.listener.Listen(w.client, index) },
		MAC:    clientMAC, ClientID: claim.DHCPClientID(), Lease: lease,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Stop(context.Background(), false); err != nil {
			t.Error(err)
		}
	})
	return k
}

// F57 at a real server: renewed by unicast at T1, rebound by broadcast after
// T2, confirmed after a restart, and a NAK heard for what it does not know.
func TestF57_RealServerRenewsRebindsRefuses(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	d := w.startDnsmasq("--no-ping", "--dhcp-rapid-commit")
	synctest.Test(t, func(t *testing.T) {
		k := w.inBubble(t, nil)
		after(time.Second)
		first := k.State().Lease
		leasetest.IP(t, w.client, "addr add "+first.Addr.String()+" dev nic0")
		requests := 0
		was := first
		resume := func(change func(*Lease), wait time.Duration) {
			if err := k.Stop(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			change(&was)
			k = w.inBubble(t, &was)
			after(wait)
		}
		want := func(what string) {
			t.Helper()
			requests++
			d.Await("DHCPREQUEST(", requests)
			s := k.State()
			if !s.Bound || s.Lease.Addr != first.Addr || !s.Lease.Acquired.After(was.Acquired) ||
				d.Count("DHCPREQUEST(") != requests || d.Count("DHCPDISCOVER(") != 1 {
				t.Fatalf("%s: state %+v after %d REQUESTs", what, s, d.Count("DHCPREQUEST("))
			}
			was = s.Lease
		}
		after(66 * time.Second) // of 120, and T1 with its fuzz
		want("at T1")
		resume(func(l *Lease) { l.T2 = l.T1 }, 61*time.Second)
		want("at T2")
		resume(func(*Lease) { time.Sleep(50 * time.Second) }, time.Second)
		want("restarted after T1")
		resume(func(l *Lease) {
			time.Sleep(70 * time.Second)
			l.Addr = netip.MustParsePrefix("10.77.99.99/16") // outside the range
		}, time.Second)
		d.Await("DHCPNAK(", 1)
		if s := k.State(); !s.Bound || s.Lease.Addr != first.Addr {
			t.Errorf("state %+v after the NAK, want the server's address", s)
		}
	})
}

// F57 and F58 at the library's server, which unlike dnsmasq gives leases of a
// minute: renewed in time for three lease times, then after a restart past T1.
func TestF57_F58_ShortLeases(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	server := w.startShort(time.Minute)
	synctest.Test(t, func(t *testing.T) {
		k := w.inBubble(t, nil)
		after(time.Second)
		addr := k.State().Lease.Addr
		leasetest.IP(t, w.client, "addr add "+addr.String()+" dev nic0")
		for range 3 * 60 { // seconds
			after(time.Second)
			if s := k.State(); !s.Bound || s.Lease.Addr != addr || s.Err != nil {
				t.Fatalf("state %+v, want %s without a gap", s, addr)
			}
		}
		heard := server.log()
		if n := len(heard); n < 6 || n > 7 || slices.Contains(heard[1:], "DISCOVER 0.0.0.0") {
			t.Errorf("the server heard %q, want one DISCOVER and a renewal per 30–32 s", heard)
		}
		if err := k.Stop(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		was := k.State().Lease
		time.Sleep(time.Until(was.T1.Add(5 * time.Second)))
		k = w.inBubble(t, &was)
		if !k.State().Bound {
			t.Error("not bound from the start")
		}
		after(time.Second)
		if s := k.State(); !s.Bound || s.Lease.Addr != addr || !s.Lease.Acquired.After(was.Acquired) {
			t.Errorf("state %+v, want %s with a new time", s, addr)
		}
		if last := server.log(); last[len(last)-1] != "REQUEST 0.0.0.0" {
			t.Errorf("after the restart the server heard %s, want INIT-REBOOT", last[len(last)-1])
		}
	})
}

// shortServer is a fakeServer on a real socket.
type shortServer struct {
	mu    sync.Mutex
	fake  *fakeServer
	heard []string // kinds of message and client's address
}

func (s *shortServer) log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

func (s *shortServer) handle(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, m.MessageType().String()+" "+m.ClientIPAddr.String())
	if answer := s.fake.answer(m); answer != nil {
		_, _ = conn.WriteTo(answer.ToBytes(), peer) // the test waits for it
	}
}

// startShort starts a server of leases of length on lan0.
func (w *wire) startShort(length time.Duration) *shortServer {
	w.t.Helper()
	s := &shortServer{fake: newServer("10.77.0.1", "10.77.1.1")}
	s.fake.lease = length
	var server *server4.Server
	err := w.server.Do(func() (err error) {
		server, err = server4.NewServer("lan0", &net.UDPAddr{Port: serverPort}, s.handle)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve() // ends with an error, by Close
	}()
	w.t.Cleanup(func() {
		server.Close()
		<-done
	})
	return s
}
