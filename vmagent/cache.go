package vmagent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/dhcp"
)

// cache is the agent's memory across its own restarts, on a tmpfs that goes
// with the namespaces at a reboot. Losing it costs time, not truth.
//
//	wanted.json         what the controller last wanted
//	leases/NIC-ID.json  the DHCP lease of a NIC
type cache struct{ dir string }

func (c cache) wanted() ([]nic.Wanted, error) {
	var list []nic.Wanted
	err := read(filepath.Join(c.dir, "wanted.json"), &list)
	return list, err
}

func (c cache) saveWanted(list []nic.Wanted) error {
	return write(filepath.Join(c.dir, "wanted.json"), list)
}

// lease returns nil if there is none.
func (c cache) lease(id nic.ID) (*dhcp.Lease, error) {
	var lease *dhcp.Lease
	err := read(c.leasePath(id), &lease)
	return lease, err
}

func (c cache) saveLease(id nic.ID, lease dhcp.Lease) error { return write(c.leasePath(id), lease) }

func (c cache) dropLease(id nic.ID) error {
	if err := os.Remove(c.leasePath(id)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (c cache) leasePath(id nic.ID) string {
	return filepath.Join(c.dir, "leases", string(id)+".json")
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
