//go:build linux

package sysfs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/sriov"
)

// A record is kept of VFs that nicferry makes.
type record struct {
	// VFs is their number. It is there before they are.
	VFs int `json:"vfs"`
	// Node numbers the directory of the first of them in sysfs, which the kernel
	// makes anew with each VF and never numbers the same: what others made since
	// differs by it. 0 while they are being made.
	Node uint64 `json:"node,omitempty"`
}

func (t *Tree) recordPath(a sriov.Address) string {
	return filepath.Join(t.opts.State, string(a)+".json")
}

// made says whether the VFs that are there are nicferry's.
func (t *Tree) made(pf sriov.PF) bool {
	text, err := os.ReadFile(t.recordPath(pf.Address))
	if err != nil || pf.NumVFs == 0 {
		return false
	}
	var r record
	if json.Unmarshal(text, &r) != nil {
		return false // a damaged one: what may be others' is never removed
	}
	return r.VFs == pf.NumVFs && (r.Node == 0 || r.Node == t.node(pf))
}

// node numbers the directory of the PF's first VF; 0 without one.
func (t *Tree) node(pf sriov.PF) uint64 {
	if len(pf.VFs) == 0 {
		return 0
	}
	return t.files.Inode(device(pf.VFs[0].Address))
}

// keep writes the record, whole at any time.
func (t *Tree) keep(a sriov.Address, r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("record the VFs of %s: %w", a, err)
	}
	fresh := t.recordPath(a) + ".new"
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		return fmt.Errorf("record the VFs of %s: %w", a, err)
	}
	if err := os.Rename(fresh, t.recordPath(a)); err != nil {
		return fmt.Errorf("record the VFs of %s: %w", a, err)
	}
	return nil
}

// forget takes the record away. It may be gone.
func (t *Tree) forget(a sriov.Address) error {
	if err := os.Remove(t.recordPath(a)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget the VFs of %s: %w", a, err)
	}
	return nil
}

// lock makes the caller the only one of nicferry who changes numbers of VFs, until
// the result is called: an agent and a person may want to at the same time.
func (t *Tree) lock() (unlock func(), err error) {
	// The controller's socket is beside the agent's directory, and others may use it.
	above := filepath.Dir(filepath.Dir(t.opts.State))
	if err := errors.Join(os.MkdirAll(above, 0o755), os.MkdirAll(t.opts.State, 0o700)); err != nil {
		return nil, fmt.Errorf("keep a record of what is made: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(t.opts.State, "lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep a record of what is made: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: another nicferry-agent makes VFs at this moment; ask again when it is done", ErrBusy)
		}
		return nil, fmt.Errorf("lock %s: %w", t.opts.State, err)
	}
	return func() { _ = f.Close() }, nil
}
