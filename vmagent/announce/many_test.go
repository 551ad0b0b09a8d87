//go:build linux

package announce

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

func stop(t *testing.T, w *Watcher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// sockets is how many this process has open, and threads how many it has.
func sockets(t *testing.T) (n int) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}

// Fifty watchers that start and end at once use few threads, and no sockets
// while they are idle. It does not run beside other tests, which have some.
func TestManyWatchers(t *testing.T) {
	const many = 50
	ns, far, listener := netnstest.New(t), netnstest.New(t), NewListener()
	var here, there []string
	for n := range many {
		there = append(there, fmt.Sprintf("link add far%d up type veth peer name nic%d netns %s", n, n, path(ns)))
		here = append(here, fmt.Sprintf("link set nic%d up", n), fmt.Sprintf("addr add 10.0.%d.5/24 dev nic%d", n, n))
	}
	ip(t, far, there...)
	ip(t, ns, here...)
	before, socketsBefore := threads(t), sockets(t)
	var watchers []*Watcher
	most := 0 // sockets while they work: all at once, where the machine is fast enough
	for n := range many {
		i := interfaceOf(t, ns, fmt.Sprintf("nic%d", n))
		w, err := Start(Options{
			Open:  func() (Wire, error) { return listener.Open(ns, i.Index) },
			MAC:   nic.MAC(i.HardwareAddr),
			Addrs: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.%d.5/24", n))}, Timing: quick(),
		})
		if err != nil {
			t.Fatal(err)
		}
		w.Applied()
		watchers = append(watchers, w)
		most = max(most, sockets(t))
	}
	until(t, "sockets while they work", func() bool { most = max(most, sockets(t)); return most > socketsBefore })
	until(t, "end of the sockets", func() bool { return sockets(t) <= socketsBefore })
	if after := threads(t); after > before+20 {
		t.Errorf("%d threads, %d before", after, before)
	}
	for _, w := range watchers {
		if s := w.State(); len(s.Conflicts) != 0 || s.Err != nil {
			t.Errorf("state %+v", s)
		}
		stop(t, w)
	}
}
