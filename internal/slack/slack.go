//go:build linux

// Package slack lets the timers of an agent's threads be late.
package slack

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Late is how late a timer may be. Nothing that an agent does minds.
//
// Go's runtime has a thread that looks after all others. While they are in the kernel,
// where an agent has most of its work, it does so each 20 µs, and takes the processor from
// one that is still there. On a node with one processor each look interrupts the very work
// that it is for: a VF comes into its container a third later where the processor is
// emulated. With this it looks once in Late.
const Late = 5 * time.Millisecond

// rounds is how often the threads are gone through: more may come meanwhile, from one that
// has been let alone so far. All others take after the thread that made them.
const rounds = 3

// Take lets the timers of all threads of this process be Late. It needs CAP_SYS_NICE,
// unless whoever started the process has seen to it, such as systemd by TimerSlackNSec=.
func Take() error {
	if now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err == nil && now >= int(Late) {
		return nil
	}
	for range rounds {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("let timers be late: %w", err)
		}
		for _, t := range threads {
			if err := take(filepath.Join("/proc", t.Name(), "timerslack_ns")); err != nil && !ended(err) {
				return fmt.Errorf("let timers be late: %w", err)
			}
		}
	}
	return nil
}

// take lets one thread's timers be late, unless they may be later already.
func take(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	now, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil || now >= int64(Late) {
		return err
	}
	return os.WriteFile(path, strconv.AppendInt(nil, int64(Late), 10), 0)
}

// ended says whether the thread is there no more.
func ended(err error) bool { return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) }
