//go:build linux

package dhcp

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
)

// A wire is a server's namespace and a container's, joined by a veth pair:
// lan0 there, nic0 here.
type wire struct {
	t              *testing.T
	server, client *netns.Namespace
	listener       *Listener
	open           sync.WaitGroup // sockets
}

// A watched Conn tells its wire when it is closed.
type watched struct {
	Conn
	open *sync.WaitGroup
}

func (c watched) Close() error {
	defer c.open.Done()
	return c.Conn.Close()
}

func (w *wire) listen(index int) (Conn, error) {
	conn, err := w.listener.Listen(w.client, index)
	if err != nil {
		return nil, err
	}
	w.open.Add(1)
	return watched{conn, &w.open}, nil
}

func newWire(t *testing.T) *wire {
	t.Helper()
	pair := leasetest.NewWire(t, clientMAC, "10.77.0.1/16")
	return &wire{t: t, server: pair.Server, client: pair.Client, listener: NewListener()}
}

// startDnsmasq starts a real server for 10.77.0.0/16.
func (w *wire) startDnsmasq(options ...string) *leasetest.Dnsmasq {
	w.t.Helper()
	return leasetest.StartDnsmasq(w.t, w.server, append([]string{
		"--dhcp-range=10.77.1.1,10.77.8.254,255.255.0.0,2m", "--dhcp-option=option:router,10.77.0.1", "--dhcp-lease-max=2000",
	}, options...)...)
}

// A holder is a keeper on a real NIC.
type holder struct {
	*Keeper
	t    *testing.T
	wake chan struct{}
}

// keep starts a keeper on nic0, keepOn on any NIC of the client's namespace.
func (w *wire) keep(mac nic.MAC, lease *Lease) *holder {
	w.t.Helper()
	return w.keepOn(leasetest.Interfaces(w.t, w.client)["nic0"].Index, mac, claim, lease)
}

func (w *wire) keepOn(index int, mac nic.MAC, id nic.ClaimID, lease *Lease) *holder {
	w.t.Helper()
	h := &holder{t: w.t, wake: make(chan struct{}, 1)}
	k, err := Start(Options{
		Listen: func() (Conn, error) { return w.listen(index) },
		MAC:    mac, ClientID: id.DHCPClientID(), Lease: lease,
		Wake: func() {
			select {
			case h.wake <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	h.Keeper = k
	w.t.Cleanup(func() { h.stop(false) })
	return h
}

func (h *holder) stop(release bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.Stop(ctx, release); err != nil {
		h.t.Error(err)
	}
}

// await returns the lease when the keeper is bound to one acquired after t.
func (h *holder) await(t time.Time) Lease {
	h.t.Helper()
	late := time.After(time.Minute)
	for {
		if s := h.State(); s.Bound && s.Lease.Acquired.After(t) {
			return s.Lease
		}
		select {
		case <-h.wake:
		case <-late:
			h.t.Fatalf("no lease in a minute: %+v", h.State())
		}
	}
}

const claimHex = "00:63:6c:6d:2d:30:30:31:31:32:32:33:33:34:34:35:35:36:36:66:66" // claim, as dnsmasq writes it

// F60: rapid commit and the ordinary way, at a real server that does not probe.
func TestF60_RapidCommitAndOrdinary(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options []string
		rapid   bool
	}{
		"rapid":    {[]string{"--no-ping", "--dhcp-rapid-commit"}, true},
		"ordinary": {[]string{"--no-ping"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			d := w.startDnsmasq(test.options...)
			h := w.keep(clientMAC, nil)
			lease := h.await(time.Time{})
			if !netip.MustParsePrefix("10.77.0.0/16").Contains(lease.Addr.Addr()) || lease.Addr.Bits() != 16 ||
				lease.Router != netip.MustParseAddr("10.77.0.1") || lease.Via.IsZero() {
				t.Errorf("lease %+v", lease)
			}
			d.Await("DHCPACK(", 1)
			if offered := d.Count("DHCPOFFER(") > 0; offered == test.rapid {
				t.Errorf("an OFFER was made: %t", offered)
			}
			list := d.Clients()
			if len(list) != 1 || list[0][1] != clientMAC.String() || list[0][2] != lease.Addr.Addr().String() || list[0][4] != claimHex {
				t.Errorf("lease file %q, want one line with our client id %s", list, claimHex)
			}
			h.stop(true)
			d.Await("DHCPRELEASE(", 1)
			d.End()
			if list := d.Clients(); len(list) != 0 {
				t.Errorf("lease file after release %q, want none", list)
			}
		})
	}
}

// F60: a server that probes an address before it gives it out makes a new
// client wait 3 s, which is waiting and no trouble. It knows the client the
// next time, and answers at once.
func TestF60_ServerThatProbes(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]string{"rapid": {"--dhcp-rapid-commit"}, "ordinary": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			d := w.startDnsmasq(options...)
			start := time.Now()
			h := w.keep(clientMAC, nil)
			d.Await("DHCPDISCOVER(", 1)
			// On a busy machine it may be over by the time that the server's log says so.
			if s := h.State(); s.Bound && time.Since(start) < 2*time.Second || s.Err != nil {
				t.Errorf("state %+v, want waiting without trouble", s)
			}
			h.await(time.Time{})
			if d := time.Since(start); d < 2*time.Second {
				t.Errorf("took %s: the server did not probe, so this tests nothing", d)
			}
			h.stop(false)
			took := time.Hour // at best: a busy machine may lose a word, but not each time
			for range 5 {
				start = time.Now()
				h = w.keep(clientMAC, nil)
				h.await(time.Time{})
				h.stop(false)
				if took = min(took, time.Since(start)); took < 2*time.Second {
					return
				}
			}
			t.Errorf("took %s at best, once it is known", took)
		})
	}
}

// F59: the address follows the claim to another NIC; the server sees one client.
func TestF59_SameClientOnAnotherNIC(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	d := w.startDnsmasq("--no-ping", "--dhcp-rapid-commit")
	h := w.keep(clientMAC, nil)
	before := h.await(time.Time{})
	h.stop(false)
	other := nic.MAC{0x02, 0, 0x5e, 0x10, 0, 2}
	leasetest.IP(t, w.client, "link set nic0 address "+other.String())
	after := w.keep(other, nil).await(time.Time{})
	if before.Addr != after.Addr {
		t.Errorf("address %s became %s", before.Addr, after.Addr)
	}
	if list := d.Clients(); len(list) != 1 || list[0][4] != claimHex {
		t.Errorf("lease file %q, want one client", list)
	}
}
