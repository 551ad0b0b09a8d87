//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	dirPrefix  = "nicferry-lab-"
	lockName   = "lock"
	cgroupRoot = "/sys/fs/cgroup"
)

// makeDir makes a node's directory and takes its lock. Who finds the lock free
// knows that the node's owner is dead: the kernel drops it with the process.
func makeDir(parent string) (dir string, lock *os.File, err error) {
	dir, err = os.MkdirTemp(parent, dirPrefix)
	if err != nil {
		return "", nil, err
	}
	// Locked under another name first, so that nobody sees it unlocked.
	fresh := filepath.Join(dir, "lock.new")
	lock, err = os.OpenFile(fresh, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		err = os.Rename(fresh, filepath.Join(dir, lockName))
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), os.RemoveAll(dir))
	}
	return dir, lock, nil
}

// sweep removes what nodes left whose owner was killed. Their processes are
// dead already.
func sweep(parent string, log *slog.Logger) error {
	dirs, err := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	if err != nil {
		return fmt.Errorf("look for leftovers in %s: %w", parent, err)
	}
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !ownDir(info) {
			continue // gone meanwhile, or somebody else's
		}
		lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
		if err != nil {
			continue // being made, or being removed
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			log.Info("remove what a killed lab left", "dir", dir)
			err = errors.Join(removeCgroups(filepath.Base(dir)), os.RemoveAll(dir))
		}
		if err = errors.Join(err, lock.Close()); err != nil {
			return fmt.Errorf("remove leftovers of a killed lab: %w", err)
		}
	}
	return nil
}

// ownDir keeps us from removing, as root, what another user planted.
func ownDir(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.IsDir() && int(st.Uid) == os.Geteuid()
}

// removeCgroups removes the control groups that an engine made under name. The
// kernel calls a group busy until the last of its processes is reaped.
func removeCgroups(name string) error {
	deadline := time.Now().Add(endTime)
	for {
		err := tryRemoveCgroups(name)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func tryRemoveCgroups(name string) error {
	if !strings.HasPrefix(name, dirPrefix) {
		return fmt.Errorf("remove control groups of %q: not a lab's name", name)
	}
	var roots, found []string
	for _, pattern := range []string{"", "*"} { // version 2, then one hierarchy per controller
		paths, err := filepath.Glob(filepath.Join(cgroupRoot, pattern, name))
		if err != nil {
			return fmt.Errorf("find control groups: %w", err)
		}
		roots = append(roots, paths...)
	}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				found = append(found, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("list control groups: %w", err)
		}
	}
	var errs []error
	for _, path := range slices.Backward(found) { // children before parents
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove control group: %w", err))
		}
	}
	return errors.Join(errs...)
}
