package dhcp

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
)

// wantReboot fails the test unless s is what RFC 2131 table 4 has for
// INIT-REBOOT.
func wantReboot(t *testing.T, s sent, addr netip.Addr) {
	t.Helper()
	asked, ok := toAddr(s.m.RequestedIPAddress())
	if !ok || asked != addr || s.m.Options.Has(dhcpv4.OptionServerIdentifier) || !s.m.ClientIPAddr.IsUnspecified() || s.path != toAnyServer(noAddr) {
		t.Errorf("sent %+v %s, want option 50 with %s, no server and no ciaddr, from 0.0.0.0 to all", s.path, s.m.Summary(), addr)
	}
}

// rebooted runs a keeper for some seconds, stops it, and gives its lease and
// the wire to then, down later.
func rebooted(t *testing.T, down time.Duration, then func(t *testing.T, l *lan, server *fakeServer, lease *Lease)) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer("10.0.0.1", "10.0.0.100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, nil)
		synctest.Wait()
		lease := c.wantBound("10.0.0.100/24")
		c.stop(false)
		after(down)
		then(t, l, server, leasetest.Reload(t, lease))
	})
}

// F57: a server that is away at the restart costs the container nothing; it
// is asked again in the ordinary way.
func TestF57_RebootWithoutAnswerGoesOn(t *testing.T) {
	rebooted(t, 40*time.Second, func(t *testing.T, l *lan, server *fakeServer, lease *Lease) {
		l.set(func() { server.silent = true })
		c := newClient(t, l, lease)
		after(verifyTime - time.Millisecond)
		for _, s := range l.log()[1:] {
			wantReboot(t, s, lease.Addr.Addr())
		}
		after(6 * time.Second)
		c.wantBound("10.0.0.100/24")
		if last := kinds(l.log())[len(l.log())-1]; last != "REQUEST 10.0.0.1" {
			t.Errorf("later came %s, want a renewal", last)
		}
		l.set(func() { server.silent = false })
		after(10 * time.Second)
		c.wantBound("10.0.0.100/24")
		if c.everLost() {
			t.Error("the address dropped")
		}
	})
}

// The lease runs out in the middle of the question.
func TestF57_RebootEndsWithTheLease(t *testing.T) {
	rebooted(t, 58*time.Second, func(t *testing.T, l *lan, server *fakeServer, lease *Lease) {
		l.set(func() { server.silent = true })
		c := newClient(t, l, lease)
		time.Sleep(time.Until(lease.Expires) - time.Millisecond)
		c.wantBound("10.0.0.100/24")
		after(2 * time.Millisecond)
		if s := c.State(); s.Bound || !errors.Is(s.Err, ErrNoAnswer) {
			t.Errorf("state %+v, want lost at the expiry", s)
		}
	})
}

// F57: an expired lease that no server knows is asked for as a new one.
func TestF57_RebootAfterExpiryFallsBack(t *testing.T) {
	rebooted(t, time.Hour, func(t *testing.T, l *lan, server *fakeServer, lease *Lease) {
		l.set(func() { server.silent = true })
		c := newClient(t, l, lease)
		after(verifyTime)
		l.set(func() { server.silent = false })
		after(time.Second)
		c.wantBound("10.0.0.100/24")
		last := l.log()[len(l.log())-1]
		wish, ok := toAddr(last.m.RequestedIPAddress())
		if last.m.MessageType() != dhcpv4.MessageTypeDiscover || !ok || wish != lease.Addr.Addr() {
			t.Errorf("last came %s, want a DISCOVER with the address of before", last.m.Summary())
		}
	})
}

// A NIC that may be on another link is asked about before T1, and a server
// there says no.
func TestF57_RebootOnAnotherLink(t *testing.T) {
	rebooted(t, time.Second, func(t *testing.T, l *lan, _ *fakeServer, lease *Lease) {
		other := newServer("10.9.0.1", "10.9.0.50")
		l.set(func() { l.servers = []*fakeServer{other} })
		c := newClientWith(t, l, Options{Lease: lease, Reboot: true})
		after(2 * time.Second)
		c.wantBound("10.9.0.50/24")
		wantLog(t, l, "DISCOVER all", "REQUEST all", "DISCOVER all")
		wantReboot(t, l.log()[1], lease.Addr.Addr())
	})
}

func TestDecline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer("10.0.0.1", "10.0.0.100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, nil)
		after(time.Second)
		bad := c.wantBound("10.0.0.100/24").Addr.Addr()
		c.Decline(netip.MustParseAddr("10.0.0.7"), "not ours") // of a lease before this one
		c.wantBound("10.0.0.100/24")
		begin := time.Now()
		c.Decline(bad, "02:00:00:00:00:07 answers for it")
		c.Decline(bad, "said twice")
		s := c.State()
		if s.Bound || !errors.Is(s.Err, ErrConflict) || !strings.Contains(s.Err.Error(), "02:00:00:00:00:07") || s.Lease.Addr.IsValid() {
			t.Errorf("state %+v, want lost at once with the reason", s)
		}
		synctest.Wait()
		if got := c.seen(); got[len(got)-1].Bound {
			t.Error("woke nobody")
		}
		wantLog(t, l, "DISCOVER all", "DECLINE all")
		m := l.log()[1].m
		asked, _ := toAddr(m.RequestedIPAddress())
		who, _ := toAddr(m.ServerIdentifier())
		if asked != bad || who != server.id || !m.ClientIPAddr.IsUnspecified() || m.Options.Has(dhcpv4.OptionParameterRequestList) {
			t.Errorf("not as RFC 2131 table 5 has it: %s", m.Summary())
		}
		l.set(func() { server.leases = map[string]netip.Addr{"other": bad} }) // as a server remembers it
		after(21 * time.Second)
		c.wantBound("10.0.0.101/24")
		if gap := l.log()[2].at.Sub(begin); gap < 10*time.Second {
			t.Errorf("started over after %s, want 10 s or more", gap)
		}
	})
}

// A host that claims every address must not empty the pool.
func TestDeclinesSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lan{servers: []*fakeServer{newServer("10.0.0.1", "10.0.0.100")}}
		c := newClient(t, l, nil)
		for range 3600 {
			after(time.Second)
			c.Decline(c.State().Lease.Addr.Addr(), "taken too")
		}
		n := len(slices.DeleteFunc(kinds(l.log()), func(s string) bool { return s != "DECLINE all" }))
		if n < 5 || n > 20 {
			t.Errorf("%d declines in an hour", n)
		}
	})
}

// A conflict found while a renewal is on its way ends the renewal.
func TestDeclineDuringRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer("10.0.0.1", "10.0.0.100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, nil)
		synctest.Wait()
		l.set(func() { server.silent = true })
		after(40 * time.Second)
		c.Decline(c.wantBound("10.0.0.100/24").Addr.Addr(), "taken")
		l.set(func() { server.silent = false })
		after(9 * time.Second)
		if s := c.State(); s.Bound || !errors.Is(s.Err, ErrConflict) {
			t.Errorf("state %+v, want still declined", s)
		}
		if err := c.Stop(context.Background(), true); err != nil {
			t.Error(err)
		}
		if last := kinds(l.log())[len(l.log())-1]; last != "DECLINE all" {
			t.Errorf("last came %s; what was declined is not ours to release", last)
		}
	})
}

// Routes are asked for by policy, and those of a cached lease go with it.
func TestS9_PolicyDecidesOnRoutes(t *testing.T) {
	for _, policy := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			server := newServer("10.0.0.1", "10.0.0.100")
			server.change = func(m *dhcpv4.DHCPv4) {
				m.UpdateOption(raw(121, 8, 172, 10, 0, 0, 9, 0, 10, 0, 0, 8))
			}
			l := &lan{servers: []*fakeServer{server}}
			c := newClientWith(t, l, Options{Routes: policy})
			synctest.Wait()
			lease := c.wantBound("10.0.0.100/24")
			asked := slices.ContainsFunc(l.log()[0].m.ParameterRequestList(), func(o dhcpv4.OptionCode) bool { return o.Code() == 121 })
			if asked != policy || (len(lease.Routes) == 1) != policy || (lease.Router == netip.MustParseAddr("10.0.0.8")) != policy {
				t.Errorf("policy %t: asked %t, routes %v, router %s", policy, asked, lease.Routes, lease.Router)
			}
			c.stop(false)
			lease.Routes = []nic.Route{{To: netip.MustParsePrefix("172.0.0.0/8"), Via: netip.MustParseAddr("10.0.0.9")}}
			c = newClientWith(t, l, Options{Routes: policy, Lease: leasetest.Reload(t, lease)})
			if got := c.wantBound("10.0.0.100/24").Routes; (len(got) == 1) != policy {
				t.Errorf("policy %t: cached routes %v", policy, got)
			}
		})
	}
}

// F59: an address that the client had at another place is asked for at once. A
// server that knows it gives it in one round, one that says no is asked for
// another, and silence is waited for no longer than a second.
func TestF59_TheLastAddressIsAskedFor(t *testing.T) {
	last := &Lease{}
	last.Addr = netip.MustParsePrefix("10.0.0.107/24")
	for _, test := range []struct {
		name   string
		change func(*fakeServer)
		lease  string
		log    []string
		after  time.Duration
	}{
		{"known", func(s *fakeServer) { s.leases = map[string]netip.Addr{string(claim.DHCPClientID()): last.Addr.Addr()} }, "10.0.0.107/24", []string{"REQUEST all"}, 100 * time.Millisecond},
		{"refused", func(*fakeServer) {}, "10.0.0.100/24", []string{"REQUEST all", "DISCOVER all"}, 100 * time.Millisecond},
		{"silent", func(s *fakeServer) { s.silent = true }, "", nil, lastTime + time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer("10.0.0.1", "10.0.0.100")
				test.change(server)
				l := &lan{servers: []*fakeServer{server}}
				c := newClientWith(t, l, Options{Lease: last})
				after(test.after)
				wantReboot(t, l.log()[0], last.Addr.Addr())
				if test.lease != "" {
					c.wantBound(test.lease)
					wantLog(t, l, test.log...)
					return
				}
				m := l.log()[len(l.log())-1].m
				if wish, ok := toAddr(m.RequestedIPAddress()); m.MessageType() != dhcpv4.MessageTypeDiscover || !ok || wish != last.Addr.Addr() || c.everLost() {
					t.Errorf("after %s came %s", test.after, m.Summary())
				}
			})
		})
	}
}
