//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/sriov/naming"
	"github.com/nicferry/nicferry/sriov/sysfs"
)

// openNamer opens what names VFs, as often as it is called, and by any number of
// goroutines. What it cannot do is in the log, once until it is another thing.
func openNamer(host *netns.Namespace, runDir string, log *slog.Logger) (name func([]sriov.PF, map[sriov.Address]string), end func()) {
	n, err := naming.New(naming.Options{Host: host, State: sysfs.DefaultState, Spare: owned(runDir)})
	if err != nil {
		log.Warn("interfaces of VFs keep the names that they have", "err", err)
		return func([]sriov.PF, map[sriov.Address]string) {}, func() {}
	}
	var mu sync.Mutex
	said := ""
	return func(pfs []sriov.PF, names map[sriov.Address]string) {
		mu.Lock()
		defer mu.Unlock()
		r, err := n.Name(pfs, names)
		if r.Named > 0 {
			log.Info("VFs named", "count", r.Named)
		}
		if err == nil {
			said = ""
		} else if said != err.Error() {
			said = err.Error()
			log.Warn("VFs not named", "err", err)
		}
	}, n.Close
}

// A namer gives VFs that have just been made their names, and sees them stay.
type namer func(ctx context.Context, runDir string, list func() ([]sriov.PF, error), numbering sriov.Numbering) (naming.Result, error)

// nameHere names the VFs of this machine, whose agent has that directory.
func nameHere(ctx context.Context, runDir string, list func() ([]sriov.PF, error), numbering sriov.Numbering) (naming.Result, error) {
	host, err := netns.Current()
	if err != nil {
		return naming.Result{}, err
	}
	defer host.Close()
	n, err := naming.New(naming.Options{Host: host, State: sysfs.DefaultState, Spare: owned(runDir)})
	if err != nil {
		return naming.Result{}, err
	}
	defer n.Close()
	return n.Settle(ctx, list, numbering)
}

// owned says whether a container has a VF, or is about to get it: then the agent names
// it.
func owned(runDir string) func(sriov.Address) bool {
	return func(a sriov.Address) bool {
		_, err := os.Lstat(filepath.Join(vfNotes(runDir), string(a)))
		return err == nil
	}
}

// udevTime bounds how long udev may take to say that it reads its rules anew.
const udevTime = 10 * time.Second

// reloadUdev has udev read its rules anew.
func reloadUdev(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, udevTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "udevadm", "control", "--reload").CombinedOutput()
	if err != nil {
		return fmt.Errorf("udevadm control --reload: %w: %.200q", err, out)
	}
	return nil
}
