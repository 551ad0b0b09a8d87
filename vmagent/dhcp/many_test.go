//go:build linux

package dhcp

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
)

// F49: a lease costs no thread and no descriptor. Not parallel: it counts
// those of the whole process.
func TestF49_ManyLeasesCostNoThreads(t *testing.T) {
	const n, wave = 1000, 200
	m := newMany(t, n)
	files := count(t, "fd")
	for i := 0; i < n; i += wave {
		m.acquire(i, i+wave)
	}
	if len(m.seen) != n {
		t.Errorf("%d addresses for %d leases", len(m.seen), n)
	}
	m.renewAll()
	m.w.open.Wait()
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

// many is a crowd of holders at one server. They share some NICs, because the
// kernel takes note of carriers at 100 a second for the whole machine.
type many struct {
	w       *wire
	index   []int // of the NICs
	holders []*holder
	seen    map[netip.Addr]bool
}

const manyNICs = 20

// newMany makes macvlans on the wire that do not hear each other, as NICs in
// containers of their own.
func newMany(t *testing.T, n int) *many {
	m := &many{w: newWire(t), holders: make([]*holder, n), seen: map[netip.Addr]bool{}}
	for _, name := range []string{"arp_ignore", "arp_announce"} { // each NIC speaks for itself
		if err := m.w.client.SetSysctl("1", "ipv4", "conf", "all", name); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	for i := range manyNICs {
		lines = append(lines, fmt.Sprintf("link add n%d link nic0 address %s up type macvlan mode private", i, manyMAC(i)))
	}
	leasetest.IP(t, m.w.client, lines...)
	at := leasetest.Interfaces(t, m.w.client)
	for i := range manyNICs {
		m.index = append(m.index, at[fmt.Sprintf("n%d", i)].Index)
	}
	m.w.startDnsmasq("--no-ping", "--dhcp-rapid-commit", "--leasefile-ro")
	return m
}

func manyMAC(i int) nic.MAC { return nic.MAC{0x02, 0, 0x5e, 0x49, 0, byte(i % manyNICs)} }

func (m *many) keep(i int, lease *Lease) {
	m.holders[i] = m.w.keepOn(m.index[i%manyNICs], manyMAC(i), nic.ClaimID(fmt.Sprintf("clm-%016x", i)), lease)
}

// acquire starts holders from first to before last. Their server gets
// permanent neighbours: the kernel has room for 1024 others on the whole
// machine.
func (m *many) acquire(first, last int) {
	for i := first; i < last; i++ {
		m.keep(i, nil)
	}
	var addrs, neighbours []string
	for i := first; i < last; i++ {
		lease := m.holders[i].await(time.Time{})
		m.seen[lease.Addr.Addr()] = true
		addrs = append(addrs, fmt.Sprintf("addr add %s dev n%d", lease.Addr, i%manyNICs))
		neighbours = append(neighbours, fmt.Sprintf("neigh replace %s lladdr %s dev lan0 nud permanent", lease.Addr.Addr(), manyMAC(i)))
	}
	leasetest.IP(m.w.t, m.w.client, addrs...)
	leasetest.IP(m.w.t, m.w.server, neighbours...)
}

// renewAll makes all renew within a second.
func (m *many) renewAll() {
	due, acquired := time.Now().Add(time.Second), make([]time.Time, len(m.holders))
	for i, h := range m.holders {
		h.stop(false)
		lease := h.State().Lease
		acquired[i] = lease.Acquired
		lease.T1, lease.T2 = due, due.Add(10*time.Second)
		m.keep(i, &lease)
	}
	for i, h := range m.holders {
		h.await(acquired[i])
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
