//go:build linux

package pid1

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
)

// mountAll mounts what a booted Linux has and boot.sh did not mount, and the
// guest's own trees.
func mountAll(trees []protocol.Mount) error {
	const plain = unix.MS_NOSUID | unix.MS_NODEV
	mounts := []struct {
		kind, path string
		flags      uintptr
		data       string
	}{
		{"tmpfs", "/run", plain, "mode=755"},
		{"tmpfs", "/tmp", plain, "mode=1777"},
		{"devpts", "/dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "ptmxmode=666,mode=620,gid=5"},
		{"tmpfs", "/dev/shm", plain, "mode=1777"},
		{"cgroup2", "/sys/fs/cgroup", plain | unix.MS_NOEXEC, ""},
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.path, 0o755); err != nil {
			return fmt.Errorf("mount %s: %w", m.path, err)
		}
		if err := unix.Mount(m.kind, m.path, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.path, err)
		}
	}
	for _, t := range trees {
		if err := mountTree(t); err != nil {
			return err
		}
	}
	links := map[string]string{"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
	for name, target := range links { // devtmpfs leaves them to udev
		if err := os.Symlink("/proc/self/"+target, "/dev/"+name); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("link /dev/%s: %w", name, err)
		}
	}
	if err := os.MkdirAll("/run/lock", 0o755); err != nil {
		return fmt.Errorf("make /run/lock: %w", err)
	}
	return nil
}

// mountTree mounts a tree of the host. Of one that can only be read all is kept that was
// read once: a program that is read anew at each start has its code translated anew by
// TCG too, which takes four times as long. A guest writes through to one that it may write.
func mountTree(t protocol.Mount) error {
	if err := os.MkdirAll(t.Path, 0o755); err != nil {
		return fmt.Errorf("mount %s: %w", t.Tag, err)
	}
	flags, cache := uintptr(unix.MS_RDONLY), "loose"
	if t.Writable {
		flags, cache = 0, "mmap"
	}
	if err := unix.Mount(t.Tag, t.Path, "9p", flags, "trans=virtio,version=9p2000.L,msize=1048576,cache="+cache); err != nil {
		return fmt.Errorf("mount %s at %s: %w", t.Tag, t.Path, err)
	}
	return nil
}

// setNetwork gives the machine its name, and its management NIC its address.
func (m *machine) setNetwork() error {
	if err := unix.Sethostname([]byte(m.boot.Hostname)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	hosts := fmt.Sprintf("127.0.0.1\tlocalhost\n::1\tlocalhost\n%s\t%s\n", m.boot.Addr.Addr(), m.boot.Hostname)
	if err := errors.Join(
		os.WriteFile("/etc/hostname", []byte(m.boot.Hostname+"\n"), 0o644),
		os.WriteFile("/etc/hosts", []byte(hosts), 0o644),
	); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	name, err := nicByMAC(m.boot.MAC)
	if err != nil {
		return fmt.Errorf("set management NIC up: %w", err)
	}
	steps := [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", m.boot.Addr.String(), "dev", name},
		{"link", "set", name, "up"},
	}
	if m.boot.Gateway.IsValid() {
		steps = append(steps, []string{"route", "add", "default", "via", m.boot.Gateway.String()})
	}
	for _, step := range steps {
		if err := command("ip", step...); err != nil {
			return fmt.Errorf("set management NIC up: %w", err)
		}
	}
	return nil
}

func nicByMAC(mac net.HardwareAddr) (string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list NICs: %w", err)
	}
	var seen []string
	for _, nic := range all {
		if bytes.Equal(nic.HardwareAddr, mac) {
			return nic.Name, nil
		}
		seen = append(seen, nic.Name+" "+nic.HardwareAddr.String())
	}
	return "", fmt.Errorf("none has MAC %s; there are %s", mac, strings.Join(seen, ", "))
}

// command runs a program; what it says is in the error.
func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("run %s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
