//go:build linux

package ferry

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// spoil does to the link "eth0" of a container what a container can, and
// leaves it up under the name "mine".
func (w *world) spoil(n made) {
	w.Helper()
	for _, args := range [][]string{
		{"link", "set", "eth0", "down"},
		{"link", "set", "eth0", "name", "mine", "mtu", "1280", "promisc", "on", "allmulticast", "on"},
		{"link", "set", "mine", "group", "42", "txqueuelen", "7", "gso_max_size", "3000", "gso_max_segs", "7", "gro_max_size", "4000"},
		{"link", "set", "mine", "arp", "off", "multicast", "off", "mode", "dormant", "broadcast", "02:66:66:66:66:00"},
		{"link", "set", "mine", "address", "02:66:66:66:66:66", "up"},
		{"link", "property", "add", "dev", "mine", "altname", "also-mine", "altname", "parent0"},
		{"addr", "add", "10.6.6.6/24", "dev", "mine"},
		{"addr", "add", "fd66::6/64", "dev", "mine"},
		{"route", "add", "default", "via", "10.6.6.1"},
		{"neigh", "add", "10.6.6.9", "lladdr", "02:66:66:66:66:67", "dev", "mine"},
		{"link", "set", "dev", "mine", "xdpgeneric", "pinned", pinXDP(w.T)},
	} {
		w.run(w.inside, args...)
	}
	for _, args := range [][]string{
		{"qdisc", "add", "dev", "mine", "root", "tbf", "rate", "1mbit", "burst", "4kb", "latency", "1ms"},
		{"filter", "add", "dev", "mine", "ingress", "protocol", "all", "u32", "match", "u32", "0", "0", "classid", "1:1"},
	} { // clsact is there, see guardMetadata
		netnstest.Run(w.T, w.inside, "tc", args...)
	}
	w.ok(w.inside.SetSysctl("2", "ipv6", "conf", "mine", "accept_ra"))
	w.ok(w.inside.SetSysctl("1", "ipv4", "conf", "mine", "forwarding"))
	w.run(w.inside, "link", "set", "mine", "alias", "nobody's")
	if n.d.Kind == nic.Found { // which has no end or parent of ours to be known by
		w.run(w.inside, "link", "set", "mine", "alias", string(n.id))
	}
}

// F31: the container does what it can to the NIC; the next one gets none of it.
func TestF31_ComesHomeClean(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(kind, 0)
			w.in(n, "eth0", true)
			w.spoil(n)
			if kind != nic.Macvlan { // on a macvlan it would be a sibling, not a child
				w.run(w.inside, "link", "add", "child0", "link", "mine", "type", "macvlan")
			}
			w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
			w.clean(n, 1500)
			w.plain(n.id.LinkName("nt"))
			again := w.in(n, "eth0", true)
			if again.MAC != n.d.MAC || again.MTU != 1500 || again.Promisc || again.XDP.Any() || again.Tuning != again.Untuned() {
				t.Errorf("the next container gets %+v", again)
			}
		})
	}
}

// plain checks what is not seen in the link itself.
func (w *world) plain(name string) {
	w.Helper()
	for _, key := range [][2]string{{"ipv6", "accept_ra"}, {"ipv4", "forwarding"}} {
		got, err := w.host.Sysctl(key[0], "conf", name, key[1])
		w.ok(err)
		if want, err := w.host.Sysctl(key[0], "conf", "default", key[1]); got != want || err != nil {
			w.Errorf("%s.%s came home as %s, want the host's %s (%v)", key[0], key[1], got, want, err)
		}
	}
	for _, hook := range []string{"root", "ingress"} {
		if out := netnstest.Run(w.T, w.host, "tc", "filter", "show", "dev", name, hook); out != "" {
			w.Errorf("filters came home: %s", out)
		}
	}
	out := netnstest.Run(w.T, w.host, "tc", "qdisc", "show", "dev", name)
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "qdisc noop 0: root") && !strings.HasPrefix(line, "qdisc noqueue 0: root") {
			w.Errorf("queueing came home: %s", line)
		}
	}
}

// pinXDP pins an XDP program that passes everything, and returns where.
func pinXDP(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	pass := [...]uint64{0x00000002_00_00_00b7, 0x95} // r0 = XDP_PASS; exit
	license := [...]byte{'G', 'P', 'L', 0}
	load := struct {
		kind, count   uint32
		code, license uint64
		_             [104]byte
	}{
		kind: unix.BPF_PROG_TYPE_XDP, count: uint32(len(pass)),
		code: address(unsafe.Pointer(&pass)), license: address(unsafe.Pointer(&license)),
	}
	fd := bpf(t, unix.BPF_PROG_LOAD, unsafe.Pointer(&load), unsafe.Sizeof(load))
	runtime.KeepAlive(&pass)
	runtime.KeepAlive(&license)
	defer unix.Close(fd)
	path := filepath.Join(dir, "pass")
	name := append([]byte(path), 0)
	pin := struct {
		name uint64
		fd   uint32
		_    uint32
	}{name: address(unsafe.Pointer(&name[0])), fd: uint32(fd)}
	bpf(t, unix.BPF_OBJ_PIN, unsafe.Pointer(&pin), unsafe.Sizeof(pin))
	runtime.KeepAlive(name)
	return path
}

func address(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }

func bpf(t *testing.T, cmd uintptr, attr unsafe.Pointer, size uintptr) int {
	t.Helper()
	r, _, errno := unix.Syscall(unix.SYS_BPF, cmd, uintptr(attr), size)
	if errno != 0 {
		t.Fatal(os.NewSyscallError("bpf", errno))
	}
	return int(r)
}
