package vmagent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/dhcp"
	"github.com/nicferry/nicferry/vmagent/dhcp6"
)

// cache is the agent's memory across its own restarts, on a tmpfs that goes
// with the namespaces at a reboot. Losing it costs time, not truth.
//
//	wanted.json         what the controller last wanted
//	leases/NIC-ID.json  the DHCPv4 lease of a NIC
//	leases6/NIC-ID.json the DHCPv6 lease of a NIC
//	homes/NIC-ID.json   the process that the NIC's container lives by
type cache struct{ dir string }

func (c cache) wanted() ([]nic.Wanted, error) {
	var list []nic.Wanted
	err := read(filepath.Join(c.dir, "wanted.json"), &list)
	return list, err
}

func (c cache) saveWanted(list []nic.Wanted) error {
	return write(filepath.Join(c.dir, "wanted.json"), list)
}

// lease and lease6 return nil if there is none.
func (c cache) lease(id nic.ID) (*dhcp.Lease, error) {
	var lease *dhcp.Lease
	err := read(c.path("leases", id), &lease)
	if lease != nil {
		lease.Restore(sinceBoot())
	}
	return lease, err
}

func (c cache) lease6(id nic.ID) (*dhcp6.Lease, error) {
	var lease *dhcp6.Lease
	err := read(c.path("leases6", id), &lease)
	if lease != nil {
		lease.Restore(sinceBoot())
	}
	return lease, err
}

func (c cache) saveLease(id nic.ID, lease dhcp.Lease) error {
	lease.Stamp(sinceBoot())
	return write(c.path("leases", id), lease)
}

func (c cache) saveLease6(id nic.ID, lease dhcp6.Lease) error {
	lease.Stamp(sinceBoot())
	return write(c.path("leases6", id), lease)
}

func (c cache) dropLease(id nic.ID) error  { return remove(c.path("leases", id)) }
func (c cache) dropLease6(id nic.ID) error { return remove(c.path("leases6", id)) }

// home returns a home without a process if there is none.
func (c cache) home(id nic.ID) (home, error) {
	var h home
	err := read(c.path("homes", id), &h)
	return h, err
}

func (c cache) saveHome(id nic.ID, h home) error { return write(c.path("homes", id), h) }
func (c cache) dropHome(id nic.ID) error         { return remove(c.path("homes", id)) }

// keepHomes drops the homes of NICs that nobody wishes for.
func (c cache) keepHomes(wanted []nic.Wanted) error {
	files, err := os.ReadDir(filepath.Join(c.dir, "homes"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	wished := map[string]bool{}
	for _, w := range wanted {
		wished[filepath.Base(c.path("homes", w.NIC))] = true
	}
	errs := []error{err}
	for _, f := range files {
		if name := f.Name(); strings.HasSuffix(name, ".json") && !wished[name] {
			errs = append(errs, remove(filepath.Join(c.dir, "homes", name)))
		}
	}
	return errors.Join(errs...)
}

func (c cache) path(kind string, id nic.ID) string {
	return filepath.Join(c.dir, kind, string(id)+".json")
}

// remove may be called for what is not there.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// read leaves v alone if there is no file.
func read(path string, v any) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// write replaces the file whole: a crash leaves the old one or the new one.
func write(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	next := path + ".new"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// sinceBoot goes on while the machine sleeps, and nobody can set it.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // no kernel that runs containers is without; leases go by the wall clock then
	}
	return time.Duration(ts.Nano())
}
