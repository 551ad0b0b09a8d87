//go:build linux

package hyper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/retry"
)

// startTime bounds how long libvirtd may take until it takes connections.
const startTime = 30 * time.Second

// files are the settings of a libvirtd without a service manager, without
// control groups and for root alone.
var files = map[string]string{
	"etc/libvirtd.conf": `listen_tls = 0
unix_sock_ro_perms = "0700"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
`,
	"etc/qemu.conf": `user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
`,
}

// lay makes the folders that the host sees as libvirt's.
func lay(dir string) error {
	for _, name := range []string{"etc/nwfilter", "run", "lib", "cache", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	// The network filters that a distribution ships, such as clean-traffic.
	filters, err := filepath.Glob("/etc/libvirt/nwfilter/*.xml")
	if err != nil {
		return err
	}
	for _, from := range filters {
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "etc/nwfilter", filepath.Base(from)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// startLibvirt starts libvirtd and waits until it takes connections.
func (h *Host) startLibvirt(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	// A socket that a killed one left would look like one that is there.
	for _, name := range []string{"libvirt-sock", "libvirt-sock-ro", "libvirt-admin-sock"} {
		if err := os.RemoveAll(filepath.Join(h.dir, "run", name)); err != nil {
			return err
		}
	}
	if err := h.Launch(ctx, lab.Program{Name: "libvirtd", Args: []string{lab.Lookup("libvirtd")}}); err != nil {
		return err
	}
	begin := time.Now()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", h.Socket())
		if err == nil {
			h.log.Info("libvirtd takes connections", "after", time.Since(begin))
			return conn.Close()
		}
		pids, perr := h.pids("libvirtd")
		if perr != nil {
			return perr
		}
		if len(pids) == 0 && time.Since(begin) > time.Second {
			return fmt.Errorf("libvirtd ended at once: %s", h.tail("libvirtd"))
		}
		if retry.Sleep(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("libvirtd takes no connections: %w: %s", errors.Join(ctx.Err(), err), h.tail("libvirtd"))
		}
	}
}

// StartLibvirt starts libvirtd after Kill, and waits until it takes
// connections. Domains have run on without it.
func (h *Host) StartLibvirt(ctx context.Context) error {
	if err := h.startLibvirt(ctx); err != nil {
		return fmt.Errorf("start libvirtd of %s: %w", h.dir, err)
	}
	return nil
}

// Restart kills libvirtd with SIGKILL and starts it again. Domains run on.
func (h *Host) Restart(ctx context.Context) error {
	if err := h.Kill(ctx, "libvirtd"); err != nil {
		return err
	}
	return h.StartLibvirt(ctx)
}

// tail is the end of a program's log, to explain an error.
func (h *Host) tail(name string) string {
	text, err := os.ReadFile(h.logPath(name))
	if err != nil {
		return err.Error()
	}
	const most = 2000
	return string(text[max(0, len(text)-most):])
}
