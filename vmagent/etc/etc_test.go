//go:build linux

package etc

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// files makes the two as Docker does.
func files(t *testing.T) Files {
	t.Helper()
	dir := t.TempDir()
	f := Files{ResolvConf: filepath.Join(dir, "resolv.conf"), Hosts: filepath.Join(dir, "hosts")}
	put(t, f.ResolvConf, dockerDNS)
	put(t, f.Hosts, dockerHosts)
	return f
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func stat(t *testing.T, path string) *syscall.Stat_t {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t)
}

func mustApply(t *testing.T, f Files, w Wanted, wantChange bool) {
	t.Helper()
	changed, err := Apply(f, w)
	if err != nil || changed != wantChange {
		t.Fatalf("changed %t, %v; want %t", changed, err, wantChange)
	}
}

func TestApplyAndRemove(t *testing.T) {
	t.Parallel()
	f := files(t)
	before := []uint64{stat(t, f.ResolvConf).Ino, stat(t, f.Hosts).Ino}
	mustApply(t, f, full(), true)
	if got := text(t, f.Hosts); got != full().hosts(dockerHosts) {
		t.Errorf("hosts:\n%s", got)
	}
	if got := text(t, f.ResolvConf); got != full().resolvConf(dockerDNS) {
		t.Errorf("resolv.conf:\n%s", got)
	}
	written := stat(t, f.Hosts).Mtim
	mustApply(t, f, full(), false)
	if stat(t, f.Hosts).Mtim != written {
		t.Error("written though nothing differed")
	}

	put(t, f.Hosts, dockerHosts) // a restart of the container
	mustApply(t, f, full(), true)
	less := full()
	less.Hosts, less.Servers = less.Hosts[:1], less.Servers[:1]
	mustApply(t, f, less, true)
	if got := text(t, f.Hosts) + text(t, f.ResolvConf); strings.Contains(got, "fd77::") {
		t.Errorf("what is wanted no more is there:\n%s", got)
	}

	for range 2 {
		if err := Remove(f); err != nil {
			t.Fatal(err)
		}
		if got := text(t, f.ResolvConf) + text(t, f.Hosts); got != dockerDNS+dockerHosts {
			t.Errorf("removed:\n%s", got)
		}
	}
	if got := []uint64{stat(t, f.ResolvConf).Ino, stat(t, f.Hosts).Ino}; got[0] != before[0] || got[1] != before[1] {
		t.Errorf("inodes %v, want %v: a bind mount would show the old file", got, before)
	}
}

func TestUsersDNSIsLeftAlone(t *testing.T) {
	t.Parallel()
	f := files(t)
	w := full()
	w.UserDNS = true
	mustApply(t, f, w, true)
	if got := text(t, f.ResolvConf); got != dockerDNS {
		t.Errorf("resolv.conf:\n%s", got)
	}
	if got := text(t, f.Hosts); got != full().hosts(dockerHosts) {
		t.Errorf("hosts:\n%s", got)
	}
}

func TestMissingFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gone := Files{ResolvConf: filepath.Join(dir, "x", "resolv.conf"), Hosts: filepath.Join(dir, "hosts")}
	if changed, err := Apply(gone, full()); changed || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("apply: %t, %v; want ErrNotExist", changed, err)
	}
	if err := Remove(gone); err != nil {
		t.Errorf("remove: %v", err)
	}
	mustApply(t, Files{}, full(), false) // the user mounted files of his own
	if err := Remove(Files{}); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("made %v, %v", left, err)
	}
}

// Files that a container, or who can write where Docker does, made to hurt.
// The other file is served all the same, and nothing is written elsewhere.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		plant func(t *testing.T, path, victim string)
		want  string
	}{
		"link":   {func(t *testing.T, path, victim string) { must(t, os.Symlink(victim, path)) }, "symbolic link"},
		"pipe":   {func(t *testing.T, path, _ string) { must(t, unix.Mkfifo(path, 0o644)) }, "no plain file"},
		"folder": {func(t *testing.T, path, _ string) { must(t, os.Mkdir(path, 0o755)) }, "is a directory"},
		"huge": {func(t *testing.T, path, _ string) {
			put(t, path, "x")
			must(t, os.Truncate(path, 1<<40))
		}, "more than 65536 bytes"},
		"would grow too large": {func(t *testing.T, path, _ string) {
			put(t, path, strings.Repeat("nameserver 1\n", maxSize/13))
		}, "more than 65536"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := files(t)
			victim := filepath.Join(t.TempDir(), "victim")
			put(t, victim, "theirs\n")
			must(t, os.Remove(f.ResolvConf))
			tt.plant(t, f.ResolvConf, victim)
			changed, err := Apply(f, full())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), f.ResolvConf) || !changed {
				t.Errorf("got %t, %v; want the path and %q, and hosts written", changed, err, tt.want)
			}
			if text(t, victim) != "theirs\n" || text(t, f.Hosts) != full().hosts(dockerHosts) {
				t.Error("wrote where it should not, or did not where it should")
			}
		})
	}
	if _, err := Apply(Files{Hosts: "etc/hosts"}, full()); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("relative path: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A process in the container can hold up whoever opens its file for
// /proc/sys/fs/lease-break-time, 45 s, unless it is asked not to.
func TestALeaseHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	f := files(t)
	holder, err := os.OpenFile(f.Hosts, os.O_RDWR, 0)
	must(t, err)
	defer holder.Close()
	if _, err := unix.FcntlInt(holder.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(f, full()); !errors.Is(err, syscall.EWOULDBLOCK) || !strings.Contains(err.Error(), "lease") {
		t.Errorf("got %v, want EWOULDBLOCK in words", err)
	}
	if _, err := unix.FcntlInt(holder.Fd(), unix.F_SETLEASE, unix.F_UNLCK); err != nil {
		t.Fatal(err)
	}
	mustApply(t, f, full(), true)
}

// S8: no value that came through says more than one value.
func TestS8_ValuesAreCheckedWhereTheyAreWritten(t *testing.T) {
	t.Parallel()
	one := netip.MustParseAddr("10.77.0.1")
	bad := map[string]Wanted{
		"line end in a domain":     {Search: []string{"a\nnameserver 6.6.6.6"}},
		"space in a domain":        {Search: []string{"a b"}},
		"comment":                  {Search: []string{"a#b"}},
		"shell":                    {Search: []string{"$(reboot)"}},
		"terminal":                 {Search: []string{"\x1b[2J"}},
		"empty domain":             {Search: []string{""}},
		"empty label":              {Search: []string{"a..b"}},
		"option":                   {Search: []string{"-f"}},
		"long label":               {Search: []string{strings.Repeat("a", 64)}},
		"too many domains":         {Search: []string{"a", "b", "c", "d", "e", "f", "g"}},
		"domains too long":         {Search: []string{strings.Repeat("a.", 100) + "a", strings.Repeat("b.", 100) + "b"}},
		"too many servers":         {Servers: addrs("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")},
		"no server":                {Servers: []netip.Addr{{}}},
		"unspecified server":       {Servers: addrs("::ffff:0.0.0.0")},
		"multicast server":         {Servers: addrs("224.0.0.251")},
		"zone of a server":         {Servers: []netip.Addr{netip.MustParseAddr("fe80::1").WithZone("a\nnameserver 6.6.6.6")}},
		"line end in a host name":  {Hosts: []Host{{one, []string{"a\n6.6.6.6 bank.example"}}}},
		"space in a host name":     {Hosts: []Host{{one, []string{"a bank.example"}}}},
		"percent in a host name":   {Hosts: []Host{{one, []string{"a_b%c"}}}},
		"host without a name":      {Hosts: []Host{{one, nil}}},
		"host without an address":  {Hosts: []Host{{netip.Addr{}, []string{"a"}}}},
		"more hosts than any want": {Hosts: make([]Host, 65)},
	}
	for name, w := range bad {
		f := files(t)
		if changed, err := Apply(f, w); changed || err == nil || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: got %t, %v; want an error in one line", name, changed, err)
		}
		if text(t, f.ResolvConf) != dockerDNS || text(t, f.Hosts) != dockerHosts {
			t.Errorf("%s: a file was written", name)
		}
	}
	good := Wanted{
		Servers: []netip.Addr{netip.MustParseAddr("fe80::1").WithZone("eth0")}, Search: []string{"_tcp.Lab-1.example"},
		Hosts: []Host{{one, []string{"my_db"}}},
	}
	mustApply(t, files(t), good, true)
}
