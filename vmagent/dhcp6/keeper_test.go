package dhcp6

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
	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/lease"
	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const claim = nic.ClaimID("clm-00112233445566ff")

// A client is a keeper on a lan that notes if its address was ever lost.
type client struct {
	*Keeper
	t    *testing.T
	mu   sync.Mutex
	lost []State
}

// newClient starts a keeper that ends with the test's bubble.
func newClient(t *testing.T, l *lan, o Options) *client {
	t.Helper()
	c := &client{t: t}
	ready := make(chan struct{})
	o.Listen, o.DUID, o.IAID = l.listen, ClaimDUID(claim), InterfaceIAID("eth0")
	o.Wake = func() {
		<-ready
		c.mu.Lock()
		defer c.mu.Unlock()
		if s := c.State(); !s.Bound {
			c.lost = append(c.lost, s)
		}
	}
	var err error
	if c.Keeper, err = Start(o); err != nil {
		t.Fatal(err)
	}
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

func (c *client) wantBound(addr string) Lease {
	c.t.Helper()
	s := c.State()
	if !s.Bound || s.Lease.Addr.String() != addr {
		c.t.Fatalf("state %+v, want %s bound", s, addr)
	}
	return s.Lease
}

func (c *client) wantNeverLost() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lost) > 0 {
		c.t.Errorf("the address dropped: %+v", c.lost)
	}
}

// after lets d pass and everything settle.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wantLog(t *testing.T, l *lan, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, kinds(l.log()), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("messages sent (-want +got):\n%s", diff)
	}
	if l.set(func() {}); l.open != 0 {
		t.Errorf("%d sockets are open while nobody talks", l.open)
	}
}

func TestAcquire(t *testing.T) {
	for rapid, log := range map[bool][]string{true: {"SOLICIT"}, false: {"SOLICIT", "REQUEST 1"}} {
		synctest.Test(t, func(t *testing.T) {
			server := newServer(1, "fd00:77::100")
			server.rapid = rapid
			l := &lan{servers: []*fakeServer{server}}
			c := newClient(t, l, Options{})
			synctest.Wait()
			got, now := c.wantBound("fd00:77::100/128"), time.Now()
			wantLog(t, l, log...)
			want := Lease{Server: server.id, Preferred: now.Add(time.Minute), Grant: lease.Grant{
				Addr: netip.MustParsePrefix("fd00:77::100/128"), Acquired: now,
				T1: now.Add(30 * time.Second), T2: now.Add(48 * time.Second), Expires: now.Add(time.Minute),
			}}
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Errorf("lease (-want +got):\n%s", diff)
			}
			for _, s := range l.log() {
				if !slices.Equal(s.m.Options.ClientID().ToBytes(), ClaimDUID(claim)) || s.m.Options.OneIANA().IaId != InterfaceIAID("eth0") {
					t.Errorf("%s: not by the claim's identity", s.m.Summary())
				}
			}
		})
	}
}

func TestAliveForManyLeaseTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lan{servers: []*fakeServer{newServer(1, "fd00:77::100")}}
		c := newClient(t, l, Options{})
		after(10 * time.Minute)
		c.wantBound("fd00:77::100/128")
		c.wantNeverLost()
		log := l.log()
		if n := len(log); n < 15 || n > 20 {
			t.Errorf("%d messages in ten lease times, want one per T1", n)
		}
		for _, kind := range kinds(log)[1:] {
			if kind != "RENEW 1" {
				t.Errorf("sent %s, want renewals", kind)
			}
		}
	})
}

func TestRebindAtAnotherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone, other, unwilling := newServer(1, "fd00:77::100"), newServer(2, "fd00:77::200"), newServer(3, "fd00:77::300")
		l := &lan{servers: []*fakeServer{gone}}
		c := newClient(t, l, Options{})
		synctest.Wait()
		l.set(func() {
			gone.silent, other.adopts, other.delay = true, true, time.Second
			l.servers = append(l.servers, unwilling, other) // a stranger's "no binding" comes first
		})
		after(47 * time.Second)
		if s := c.State(); !s.Bound || !errors.Is(s.Err, ErrNoAnswer) {
			t.Errorf("state %+v, want bound with a warning", s)
		}
		after(3 * time.Second)
		if got := c.wantBound("fd00:77::100/128"); got.Giver() != other.id.String() {
			t.Errorf("server %s, want %s", got.Server, other.id)
		}
		c.wantNeverLost()
	})
}

func TestServerGoneAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(1, "fd00:77::100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, Options{})
		synctest.Wait()
		expires := c.wantBound("fd00:77::100/128").Expires
		l.set(func() { server.silent = true })
		time.Sleep(time.Until(expires) - time.Millisecond)
		c.wantBound("fd00:77::100/128")
		after(2 * time.Millisecond)
		if s := c.State(); s.Bound || !errors.Is(s.Err, ErrNoAnswer) || !s.Since.Equal(expires) {
			t.Fatalf("state at expiry %+v, want lost just now", s)
		}
		after(time.Hour)
		l.set(func() { server.silent = false })
		after(65 * time.Second)
		c.wantBound("fd00:77::100/128")
	})
}

// The server has forgotten the lease; its text does not reach a terminal.
func TestNoBindingStartsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(1, "fd00:77::100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, Options{})
		synctest.Wait()
		l.set(func() { server.leases = map[string]netip.Addr{"other": server.first} })
		after(40 * time.Second)
		c.wantBound("fd00:77::101/128")
		if len(c.lost) != 1 || !errors.Is(c.lost[0].Err, ErrRefused) || strings.ContainsAny(c.lost[0].Err.Error(), "\x1b\n") {
			t.Errorf("lost %+v, want refused once, in quotes", c.lost)
		}
	})
}

func TestDeclineAndRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(1, "fd00:77::100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, Options{})
		synctest.Wait()
		c.Decline(c.wantBound("fd00:77::100/128").Addr.Addr(), "duplicate address detection")
		if s := c.State(); s.Bound || !errors.Is(s.Err, ErrConflict) {
			t.Errorf("state %+v, want declined at once", s)
		}
		after(21 * time.Second)
		c.wantBound("fd00:77::101/128")
		c.stop(true)
		c.stop(true)
		wantLog(t, l, "SOLICIT", "DECLINE 1", "SOLICIT", "RELEASE 1")
		if _, ok := server.leases[string(ClaimDUID(claim))]; ok || c.State().Bound {
			t.Errorf("server still holds %v", server.leases)
		}
	})
}

func TestReleaseWithoutKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(1, "fd00:77::100")
		l := &lan{servers: []*fakeServer{server}}
		c := newClient(t, l, Options{})
		synctest.Wait()
		was := c.wantBound("fd00:77::100/128")
		c.stop(false)
		o := Options{Listen: l.listen, DUID: ClaimDUID(claim)}
		if err := Release(t.Context(), o); err != nil { // nothing to release
			t.Error(err)
		}
		o.Lease = leasetest.Reload(t, was)
		if err := Release(t.Context(), o); err != nil {
			t.Error(err)
		}
		wantLog(t, l, "SOLICIT", "RELEASE 1")
		l.set(func() { server.silent = true })
		begin := time.Now()
		if err := Release(t.Context(), o); !errors.Is(err, ErrNoAnswer) || time.Since(begin) != tellTime {
			t.Errorf("a silent server: %v after %s, want no answer after %s", err, time.Since(begin), tellTime)
		}
		after(time.Hour)
		if err := Release(t.Context(), o); err != nil { // expired
			t.Error(err)
		}
	})
}

// While the kernel checks the link-local address that is no trouble, and the
// socket opens soon after.
func TestWaitsForTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lan{servers: []*fakeServer{newServer(1, "fd00:77::100")}, broken: fmt.Errorf("tentative: %w", lease.ErrNotReady)}
		c := newClient(t, l, Options{})
		after(1950 * time.Millisecond)
		if s := c.State(); s.Err != nil {
			t.Errorf("state %+v, want waiting without trouble", s)
		}
		l.set(func() { l.broken = nil })
		after(200 * time.Millisecond)
		c.wantBound("fd00:77::100/128")
	})
}

func TestLinkThatIsNeverReadyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lan{broken: lease.ErrNotReady}
		c := newClient(t, l, Options{})
		after(10 * time.Second)
		if s := c.State(); s.Bound || !errors.Is(s.Err, lease.ErrNotReady) {
			t.Errorf("state %+v, want that told", s)
		}
	})
}
