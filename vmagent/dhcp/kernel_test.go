//go:build linux

package dhcp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
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
	w := &wire{t: t, server: netnstest.New(t), client: netnstest.New(t), listener: NewListener()}
	ip(t, w.server, "link add lan0 type veth peer name nic0 netns "+path(w.client),
		"addr add 10.77.0.1/16 dev lan0", "link set lan0 up")
	ip(t, w.client, "link set nic0 address "+clientMAC.String(), "link set nic0 up")
	awaitRunning(t, w.server, "lan0")
	return w
}

// awaitRunning returns when the kernel has seen the other end's carrier, some
// moments after it: until then it drops what is sent here without a word.
func awaitRunning(t *testing.T, ns *netns.Namespace, name string) {
	t.Helper()
	for late := time.Now().Add(5 * time.Second); time.Now().Before(late); time.Sleep(time.Millisecond) {
		if interfaces(t, ns)[name].Flags&net.FlagRunning != 0 {
			return
		}
	}
	t.Fatalf("%s has no carrier after 5 s", name)
}

// ip runs commands of ip inside ns, in one process.
func ip(t *testing.T, ns *netns.Namespace, lines ...string) {
	t.Helper()
	file := t.TempDir() + "/batch"
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	netnstest.Run(t, ns, "ip", "-batch", file)
}

func path(ns *netns.Namespace) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.FD()) }

// interfaces are the namespace's, by name.
func interfaces(t *testing.T, ns *netns.Namespace) map[string]net.Interface {
	t.Helper()
	var list []net.Interface
	err := ns.Do(func() (err error) {
		list, err = net.Interfaces()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]net.Interface{}
	for _, i := range list {
		byName[i.Name] = i
	}
	return byName
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
	return w.keepOn(interfaces(w.t, w.client)["nic0"].Index, mac, claim, lease)
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := h.Stop(ctx, release); err != nil {
		h.t.Error(err)
	}
}

// await returns the lease when the keeper is bound to one acquired after t.
func (h *holder) await(t time.Time) Lease {
	h.t.Helper()
	late := time.After(20 * time.Second)
	for {
		if s := h.State(); s.Bound && s.Lease.Acquired.After(t) {
			return s.Lease
		}
		select {
		case <-h.wake:
		case <-late:
			h.t.Fatalf("no lease in 20 s: %+v", h.State())
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
			d := startDnsmasq(t, w.server, test.options...)
			h := w.keep(clientMAC, nil)
			lease := h.await(time.Time{})
			if !netip.MustParsePrefix("10.77.0.0/16").Contains(lease.Addr.Addr()) || lease.Addr.Bits() != 16 ||
				lease.Router != netip.MustParseAddr("10.77.0.1") || lease.Via.IsZero() {
				t.Errorf("lease %+v", lease)
			}
			d.await("DHCPACK(", 1)
			if offered := d.count("DHCPOFFER(") > 0; offered == test.rapid {
				t.Errorf("an OFFER was made: %t", offered)
			}
			list := d.clients()
			if len(list) != 1 || list[0][1] != clientMAC.String() || list[0][2] != lease.Addr.Addr().String() || list[0][4] != claimHex {
				t.Errorf("lease file %q, want one line with our client id %s", list, claimHex)
			}
			h.stop(true)
			d.await("DHCPRELEASE(", 1)
			d.end()
			if list := d.clients(); len(list) != 0 {
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
			d := startDnsmasq(t, w.server, options...)
			start := time.Now()
			h := w.keep(clientMAC, nil)
			d.await("DHCPDISCOVER(", 1)
			if s := h.State(); s.Bound || s.Err != nil {
				t.Errorf("state %+v, want waiting without trouble", s)
			}
			h.await(time.Time{})
			if d := time.Since(start); d < 2*time.Second {
				t.Errorf("took %s: the server did not probe, so this tests nothing", d)
			}
			h.stop(false)
			start = time.Now()
			w.keep(clientMAC, nil).await(time.Time{})
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("took %s the second time", d)
			}
		})
	}
}

// F57 at a real server: a keeper that comes back late renews by unicast,
// later yet rebinds, and hears a NAK for what the server does not know.
func TestF57_RealServerRenewsRebindsRefuses(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	d := startDnsmasq(t, w.server, "--no-ping", "--dhcp-rapid-commit")
	h := w.keep(clientMAC, nil)
	lease := h.await(time.Time{})
	ip(t, w.client, "addr add "+lease.Addr.String()+" dev nic0")
	for i, age := range []time.Duration{65 * time.Second, 110 * time.Second} { // of 120: past T1, past T2
		h.stop(false)
		old := lease
		for _, at := range []*time.Time{&old.Acquired, &old.T1, &old.T2, &old.Expires} {
			*at = at.Add(-age)
		}
		h = w.keep(clientMAC, &old)
		if !h.State().Bound {
			t.Error("not bound from the start")
		}
		lease = h.await(lease.Acquired)
		d.await("DHCPREQUEST(", i+1)
		if lease.Addr != old.Addr || d.count("DHCPREQUEST(") != i+1 || d.count("DHCPDISCOVER(") != 1 {
			t.Errorf("after %s: %s, %d REQUESTs and %d DISCOVERs; want %s by one REQUEST more", age, lease.Addr,
				d.count("DHCPREQUEST("), d.count("DHCPDISCOVER("), old.Addr)
		}
	}
	h.stop(false)
	lease.Addr = netip.MustParsePrefix("10.77.99.99/16") // outside the range
	lease.T1 = time.Now().Add(-time.Minute)
	ip(t, w.client, "addr add 10.77.99.99/16 dev nic0")
	h = w.keep(clientMAC, &lease)
	if got := h.await(time.Now()); got.Addr == lease.Addr {
		t.Errorf("got %s, want another address", got.Addr)
	}
	d.await("DHCPNAK(", 1)
}

// F59: the address follows the claim to another NIC; the server sees one client.
func TestF59_SameClientOnAnotherNIC(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	d := startDnsmasq(t, w.server, "--no-ping", "--dhcp-rapid-commit")
	h := w.keep(clientMAC, nil)
	before := h.await(time.Time{})
	h.stop(false)
	other := nic.MAC{0x02, 0, 0x5e, 0x10, 0, 2}
	ip(t, w.client, "link set nic0 address "+other.String())
	after := w.keep(other, nil).await(time.Time{})
	if before.Addr != after.Addr {
		t.Errorf("address %s became %s", before.Addr, after.Addr)
	}
	if list := d.clients(); len(list) != 1 || list[0][4] != claimHex {
		t.Errorf("lease file %q, want one client", list)
	}
}

// F49: a lease costs no thread and no descriptor. Not parallel: it counts
// those of the whole process.
func TestF49_ManyLeasesCostNoThreads(t *testing.T) {
	const n = 200
	w := newWire(t)
	onServer := []string{"addr flush dev lan0", "link set lan0 name up0", "link add lan0 type bridge", "link set lan0 up", "addr add 10.77.0.1/16 dev lan0"}
	var onClient []string
	mac := func(i int) nic.MAC { return nic.MAC{0x02, 0, 0x5e, 0x49, 0, byte(i)} }
	for i := range n {
		onServer = append(onServer, fmt.Sprintf("link add p%d up master lan0 type veth peer name n%d address %s netns %s", i, i, mac(i), path(w.client)))
		onClient = append(onClient, fmt.Sprintf("link set n%d up", i))
	}
	ip(t, w.server, onServer...)
	ip(t, w.client, onClient...)
	startDnsmasq(t, w.server, "--no-ping", "--dhcp-rapid-commit")
	files := count(t, "fd")
	at := interfaces(t, w.client)
	keep := func(i int, lease *Lease) *holder {
		return w.keepOn(at[fmt.Sprintf("n%d", i)].Index, mac(i), nic.ClaimID(fmt.Sprintf("clm-%016x", i)), lease)
	}
	holders := make([]*holder, n)
	for i := range holders {
		holders[i] = keep(i, nil)
	}
	var addrs []string
	seen := map[netip.Addr]bool{}
	for i, h := range holders {
		lease := h.await(time.Time{})
		seen[lease.Addr.Addr()] = true
		addrs = append(addrs, fmt.Sprintf("addr add %s dev n%d", lease.Addr, i))
	}
	if len(seen) != n {
		t.Errorf("%d addresses for %d leases", len(seen), n)
	}
	for _, name := range []string{"arp_ignore", "arp_announce"} { // each NIC speaks for itself, as in its own namespace
		if err := w.client.SetSysctl("1", "ipv4", "conf", "all", name); err != nil {
			t.Fatal(err)
		}
	}
	ip(t, w.client, addrs...)
	for i, h := range holders { // all renew at the same moment, as after an agent's restart
		h.stop(false)
		lease := h.State().Lease
		lease.T1 = time.Now().Add(-time.Minute)
		holders[i] = keep(i, &lease)
	}
	for _, h := range holders {
		h.await(h.opts.Lease.Acquired)
	}
	w.open.Wait()
	threads, files, goroutines := count(t, "task"), count(t, "fd")-files, runtime.NumGoroutine()
	t.Logf("%d leases: %d threads, %d descriptors, %d goroutines", n, threads, files, goroutines)
	if threads > 32 {
		t.Errorf("%d threads, want 32 at most", threads)
	}
	if files > 2 {
		t.Errorf("%d descriptors more than before, want none of a lease's own", files)
	}
	if goroutines > n+n/2 { // some readers may be on their last line
		t.Errorf("%d goroutines for %d leases, want one each", goroutines, n)
	}
}

// count is the number of entries of a folder in /proc/self.
func count(t *testing.T, folder string) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/" + folder)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
