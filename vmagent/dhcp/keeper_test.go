package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/lease"
	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const claim = nic.ClaimID("clm-00112233445566ff")

// A client is a keeper on a lan, and every state that it woke its owner with.
type client struct {
	*Keeper
	t      *testing.T
	mu     sync.Mutex
	states []State
}

// newClient starts a keeper that ends with the test's bubble.
func newClient(t *testing.T, l *lan, lease *Lease) *client {
	t.Helper()
	return newClientWith(t, l, Options{Lease: lease})
}

// newClientWith adds to o what every client of a lan has.
func newClientWith(t *testing.T, l *lan, o Options) *client {
	t.Helper()
	c := &client{t: t}
	ready := make(chan struct{})
	o.Listen, o.MAC, o.ClientID, o.Hostname = l.listen, clientMAC, claim.DHCPClientID(), "web-1"
	o.Wake = func() {
		<-ready
		c.mu.Lock()
		defer c.mu.Unlock()
		c.states = append(c.states, c.State())
	}
	k, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	c.Keeper = k
	close(ready)
	t.Cleanup(func() { c.stop(false) })
	return c
}

func (c *client) stop(release bool) {
	c.t.Helper()
	if err := c.Stop(context.Background(), release); err != nil {
		c.t.Error(err)
	}
}

// seen returns the states so far.
func (c *client) seen() []State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.states)
}

// everLost says whether the address was ever taken away.
func (c *client) everLost() bool {
	return slices.ContainsFunc(c.seen(), func(s State) bool { return !s.Bound })
}

// wantBound fails the test unless the keeper holds addr.
func (c *client) wantBound(addr string) Lease {
	c.t.Helper()
	s := c.State()
	if !s.Bound || s.Lease.Addr.String() != addr {
		c.t.Fatalf("state %+v, want %s bound", s, addr)
	}
	return s.Lease
}

// after lets d pass and everything settle.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// kinds is the conversation in short: kind of message and how it travelled.
func kinds(log []sent) []string {
	var list []string
	for _, s := range log {
		how := "all"
		if s.path.To != everybody {
			how = s.path.To.String()
		}
		list = append(list, fmt.Sprintf("%s %s", s.m.MessageType(), how))
	}
	return list
}

func wantLog(t *testing.T, l *lan, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, kinds(l.log()), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("messages sent (-want +got):\n%s", diff)
	}
}

func TestAcquire(t *testing.T) {
	for name, test := range map[string]struct {
		rapid bool
		log   []string
	}{
		"rapid commit": {true, []string{"DISCOVER all"}},
		"ordinary":     {false, []string{"DISCOVER all", "REQUEST all"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer("10.0.0.1", "10.0.0.100")
				server.rapid = test.rapid
				l := &lan{servers: []*fakeServer{server}}
				c := newClient(t, l, nil)
				synctest.Wait()
				got := c.wantBound("10.0.0.100/24")
				wantLog(t, l, test.log...)
				now := time.Now()
				want := Lease{Router: server.id, Server: server.id, Via: serverMAC, Grant: lease.Grant{
					Addr: netip.MustParsePrefix("10.0.0.100/24"), Acquired: now,
					T1: now.Add(30 * time.Second), T2: now.Add(52500 * time.Millisecond), Expires: now.Add(time.Minute),
				}}
				if diff := cmp.Diff(want, got, cmp.Comparer(sameTime), cmp.Comparer(samePrefix), cmp.Comparer(sameIP)); diff != "" {
					t.Errorf("lease (-want +got):\n%s", diff)
				}
				for _, s := range l.log() {
					if id := s.m.Options.Get(dhcpv4.OptionClientIdentifier); string(id) != "\x00"+string(claim) {
						t.Errorf("client id %q, want the claim's", id)
					}
					if got := s.m.HostName(); got != "web-1" {
						t.Errorf("host name %q, want web-1", got)
					}
					if asked := s.m.ParameterRequestList(); slices.ContainsFunc(asked, func(o dhcpv4.OptionCode) bool { return o.Code() == 121 }) {
						t.Errorf("asked for routes: %s", asked)
					}
				}
				if got := c.seen(); len(got) != 1 {
					t.Errorf("woken %d times, want once", len(got))
				}
			})
		})
	}
}

func sameTime(a, b time.Time) bool      { return a.Equal(b) }
func samePrefix(a, b netip.Prefix) bool { return a == b }
func sameIP(a, b netip.Addr) bool       { return a == b }

// F58: the client must live on after the first answer.
func TestF58_AliveForManyLeaseTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lan{servers: []*fakeServer{newServer("10.0.0.1", "10.0.0.100")}}
		c := newClient(t, l, nil)
		after(10 * time.Minute) // ten lease times
		c.wantBound("10.0.0.100/24")
		if c.everLost() {
			t.Error("the address dropped")
		}
		log := l.log()
		if n := len(log); n < 15 || n > 20 { // one per 30–32.25 s
			t.Errorf("%d messages in ten lease times, want one per T1", n)
		}
		for i, s := range log[1:] {
			if gap := s.at.Sub(log[i].at); gap < 30*time.Second || gap > 33*time.Second {
				t.Errorf("renewal %d after %s, want 30 s and a little fuzz", i, gap)
			}
			if s.path != (Path{From: netip.MustParseAddr("10.0.0.100"), To: netip.MustParseAddr("10.0.0.1"), Via: serverMAC}) {
				t.Errorf("renewal %d went %+v, want unicast to the server", i, s.path)
			}
			if s.m.Options.Has(dhcpv4.OptionServerIdentifier) || s.m.Options.Has(dhcpv4.OptionRequestedIPAddress) {
				t.Errorf("renewal %d names server or address: %s", i, s.m.Summary())
			}
		}
		for i, conn := range l.opened {
			select {
			case <-conn.closed:
			default:
				t.Errorf("socket %d is open while nobody talks", i)
			}
		}
	})
}

// F57: an agent that restarts goes on with the lease it has on disk.
func TestF57_RestartKeepsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lan{servers: []*fakeServer{newServer("10.0.0.1", "10.0.0.100")}}
		c := newClient(t, l, nil)
		after(20 * time.Second)
		lease := c.wantBound("10.0.0.100/24")
		c.stop(false)
		c = newClient(t, l, leasetest.Reload(t, lease))
		c.wantBound("10.0.0.100/24")
		after(9 * time.Second)
		wantLog(t, l, "DISCOVER all") // silence until T1
		after(5 * time.Minute)
		c.wantBound("10.0.0.100/24")
		if c.everLost() {
			t.Error("the address dropped")
		}
		if got := kinds(l.log())[1]; got != "REQUEST 10.0.0.1" {
			t.Errorf("at T1 came %s, want a renewal", got)
		}
	})
}

func TestF57_RestartAtAnyTime(t *testing.T) {
	for name, test := range map[string]struct {
		down  time.Duration
		bound bool
	}{
		"after T1":     {40 * time.Second, true},
		"after T2":     {55 * time.Second, true},
		"after expiry": {70 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &lan{servers: []*fakeServer{newServer("10.0.0.1", "10.0.0.100")}}
				c := newClient(t, l, nil)
				synctest.Wait()
				lease := c.wantBound("10.0.0.100/24")
				c.stop(false)
				after(test.down)
				l.servers[0].delay = time.Millisecond // so that the start can be seen
				c = newClient(t, l, leasetest.Reload(t, lease))
				if got := c.State().Bound; got != test.bound {
					t.Errorf("bound %t at the start, want %t", got, test.bound)
				}
				after(3 * time.Second)
				c.wantBound("10.0.0.100/24")
				wantLog(t, l, "DISCOVER all", "REQUEST all")
				wantReboot(t, l.log()[1], lease.Addr.Addr())
			})
		})
	}
}

// F57: the server may say no after the restart.
func TestF57_RefusedAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer("10.0.0.1", "10.0.0.100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, nil)
		synctest.Wait()
		lease := c.wantBound("10.0.0.100/24")
		c.stop(false)
		l.set(func() { // the server forgot, and somebody else has the address
			server.leases = map[string]netip.Addr{"other": lease.Addr.Addr()}
		})
		after(40 * time.Second)
		c = newClient(t, l, leasetest.Reload(t, lease))
		after(3 * time.Second)
		c.wantBound("10.0.0.101/24")
		lost := slices.IndexFunc(c.seen(), func(s State) bool { return !s.Bound })
		if lost < 0 || !errors.Is(c.seen()[lost].Err, ErrRefused) || c.seen()[lost].Lease.Addr.IsValid() {
			t.Errorf("states %+v, want the old address lost by ErrRefused", c.seen())
		}
		wantLog(t, l, "DISCOVER all", "REQUEST all", "DISCOVER all")
	})
}

// A clock that was set back must not make a stored lease live longer.
func TestResumeWithClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lan{servers: []*fakeServer{newServer("10.0.0.1", "10.0.0.100")}}
		c := newClient(t, l, nil)
		synctest.Wait()
		lease := c.wantBound("10.0.0.100/24")
		c.stop(false)
		for _, at := range []*time.Time{&lease.Acquired, &lease.T1, &lease.T2, &lease.Expires} {
			*at = at.Add(time.Hour)
		}
		newClient(t, l, leasetest.Reload(t, lease))
		after(3 * time.Second)
		wantLog(t, l, "DISCOVER all", "REQUEST all")
	})
}

func TestRebindAtAnotherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone, other := newServer("10.0.0.1", "10.0.0.100"), newServer("10.0.0.2", "10.0.0.200")
		l := &lan{servers: []*fakeServer{gone}}
		c := newClient(t, l, nil)
		synctest.Wait()
		l.set(func() {
			gone.silent, other.adopts = true, true
			l.servers = append(l.servers, other)
		})
		after(52 * time.Second) // before T2
		if s := c.State(); !s.Bound || !errors.Is(s.Err, ErrNoAnswer) {
			t.Errorf("state %+v, want bound with a warning", s)
		}
		after(2 * time.Second)
		if lease := c.wantBound("10.0.0.100/24"); lease.Server != other.id {
			t.Errorf("server %s, want %s", lease.Server, other.id)
		}
		if c.everLost() || c.State().Err != nil {
			t.Errorf("states %+v, want bound all the time and no trouble left", c.seen())
		}
		last := l.log()[len(l.log())-1]
		if last.path.To != everybody || last.path.From != netip.MustParseAddr("10.0.0.100") {
			t.Errorf("rebinding went %+v, want from the address to all", last.path)
		}
	})
}

func TestServerGoneAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer("10.0.0.1", "10.0.0.100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, nil)
		synctest.Wait()
		lease := c.wantBound("10.0.0.100/24")
		l.set(func() { server.silent = true })
		time.Sleep(time.Until(lease.Expires) - time.Millisecond)
		synctest.Wait()
		c.wantBound("10.0.0.100/24")
		after(time.Millisecond)
		s := c.State()
		if s.Bound || !errors.Is(s.Err, ErrNoAnswer) || !s.Since.Equal(lease.Expires) || !strings.Contains(s.Err.Error(), "10.0.0.100/24") {
			t.Fatalf("state at expiry %+v, want lost just now with a reason", s)
		}
		after(time.Hour)
		if s := c.State(); s.Bound || !s.Since.Equal(lease.Expires) {
			t.Fatalf("state %+v, want waiting since the expiry", s)
		}
		l.set(func() { server.silent = false })
		after(65 * time.Second)
		c.wantBound("10.0.0.100/24")
		if n := len(c.seen()); n > 8 {
			t.Errorf("woken %d times; the same trouble again should wake nobody", n)
		}
	})
}

func TestResendSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lan{}
		c := newClient(t, l, nil)
		after(10 * time.Minute)
		log := l.log()
		if gap := log[1].at.Sub(log[0].at); gap < 20*time.Millisecond || gap > 40*time.Millisecond {
			t.Errorf("try 2 after %s, want it at once: the link may just have come up", gap)
		}
		first := log[0]
		log = log[1:]
		for i, s := range log[1:] {
			longest := min(500*time.Millisecond<<i, 64*time.Second)
			if gap := s.at.Sub(log[i].at); gap < longest/2 || gap > longest {
				t.Errorf("try %d after %s, want %s to %s", i+3, gap, longest/2, longest)
			}
			if s.m.TransactionID != first.m.TransactionID {
				t.Errorf("try %d has another transaction id: a late answer would be lost", i+3)
			}
			if want := uint16(s.at.Sub(first.at) / time.Second); s.m.NumSeconds != want {
				t.Errorf("try %d says %d s, want %d", i+2, s.m.NumSeconds, want)
			}
		}
		if s := c.State(); s.Bound || !errors.Is(s.Err, ErrNoAnswer) {
			t.Errorf("state %+v, want no answer", s)
		}
	})
}

func TestRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer("10.0.0.1", "10.0.0.100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, nil)
		after(time.Second)
		c.stop(true)
		c.stop(true)
		if len(server.leases) != 0 {
			t.Errorf("server still holds %v", server.leases)
		}
		wantLog(t, l, "DISCOVER all", "RELEASE 10.0.0.1")
		release := l.log()[1].m
		for _, code := range []dhcpv4.OptionCode{dhcpv4.OptionRequestedIPAddress, dhcpv4.OptionParameterRequestList, dhcpv4.OptionMaximumDHCPMessageSize} {
			if release.Options.Has(code) {
				t.Errorf("RELEASE carries %s, which RFC 2131 table 5 forbids", code)
			}
		}
		if c.State().Bound {
			t.Error("still bound after the release")
		}
	})
}

// A NIC that has left its container is released without a keeper.
func TestReleaseWithoutKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer("10.0.0.1", "10.0.0.100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, nil)
		synctest.Wait()
		lease := c.wantBound("10.0.0.100/24")
		c.stop(false)
		o := Options{Listen: l.listen, MAC: clientMAC, ClientID: claim.DHCPClientID()}
		if err := Release(o); err != nil { // nothing to release
			t.Error(err)
		}
		o.Lease = leasetest.Reload(t, lease)
		if err := Release(o); err != nil {
			t.Error(err)
		}
		after(time.Hour)
		if err := Release(o); err != nil { // expired
			t.Error(err)
		}
		wantLog(t, l, "DISCOVER all", "RELEASE 10.0.0.1")
		if len(server.leases) != 0 {
			t.Errorf("server still holds %v", server.leases)
		}
	})
}

func TestStartNamesWhatIsMissing(t *testing.T) {
	full := Options{Listen: (&lan{}).listen, MAC: clientMAC, ClientID: claim.DHCPClientID()}
	for want, spoil := range map[string]func(*Options){
		"Listen":    func(o *Options) { o.Listen = nil },
		"MAC":       func(o *Options) { o.MAC = nic.MAC{} },
		"client id": func(o *Options) { o.ClientID = nil },
	} {
		o := full
		spoil(&o)
		if _, err := Start(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: got %v", want, err)
		}
	}
}
