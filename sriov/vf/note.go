//go:build linux

package vf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// A note says who has a VF, and how it was set before that.
type note struct {
	Owner nic.ID    `json:"owner"`
	Was   nic.VFWas `json:"was"`
}

// askAgain is how often a lock is tried for.
const askAgain = 5 * time.Millisecond

// lock keeps all others off the VF, in this process and in others, until unlock. The VF
// is one that Check has found good: its address is part of a path.
func (s *Setter) lock(ctx context.Context, pci string) (unlock func(), err error) {
	if !oneAtATime {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.Patience,
		fmt.Errorf("somebody else has worked at it for %s", s.opts.Patience))
	defer cancel()
	file, err := os.OpenFile(filepath.Join(s.opts.Dir, pci+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock VF %s: %w", pci, err)
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { file.Close() }, nil // the lock goes with it
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			if retry.Sleep(ctx, askAgain) == nil {
				continue
			}
			err = context.Cause(ctx)
		}
		file.Close()
		return nil, fmt.Errorf("lock VF %s: %w", pci, err)
	}
}

// noted reads who has the VF; found is false for nobody. A note that cannot be
// read is an error: to pass over it would give the VF to two.
func (s *Setter) noted(pci string) (n note, found bool, err error) {
	path := filepath.Join(s.opts.Dir, pci)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return note{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil {
		return note{}, false, fmt.Errorf("read who has VF %s, from %s: %w", pci, path, err)
	}
	if n.Was.Boot != s.opts.Boot { // the folder outlived a boot, and the settings did not
		return note{}, false, nil
	}
	return n, true, nil
}

// write notes the owner. A crash leaves the old note or the new one.
func (s *Setter) write(pci string, n note) error {
	text, err := json.Marshal(n)
	path := filepath.Join(s.opts.Dir, pci)
	if err == nil {
		err = os.WriteFile(path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("note who has VF %s: %w", pci, err)
	}
	return nil
}

func (s *Setter) forget(pci string) error {
	s.mu.Lock()
	maps.DeleteFunc(s.kept, func(k kept, _ bool) bool { return k.pci == pci })
	s.mu.Unlock()
	err := os.Remove(filepath.Join(s.opts.Dir, pci))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget who had VF %s: %w", pci, err)
	}
	return nil
}
