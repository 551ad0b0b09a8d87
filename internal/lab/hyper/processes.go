//go:build linux

package hyper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// isHolder says whether the process is the first one of the host at dir: it has
// the mark, is root's, and is number 1 in its namespace of processes, where
// others may have the mark too.
func isHolder(pid int, dir string) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	info, err := os.Stat(proc)
	if err != nil {
		return false
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 {
		return false
	}
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil || !isFirst(string(status)) {
		return false
	}
	// For a moment, while it becomes another program, its environment is empty.
	var env []byte
	for tries := 0; len(env) == 0 && tries < 100; tries++ {
		if tries > 0 {
			time.Sleep(time.Millisecond)
		}
		if env, err = os.ReadFile(filepath.Join(proc, "environ")); err != nil {
			return false
		}
	}
	return slices.ContainsFunc(bytes.Split(env, []byte{0}), func(kv []byte) bool { return string(kv) == mark+"="+dir })
}

// isFirst says, by proc_pid_status(5), whether it is number 1 in a namespace
// of processes just below ours.
func isFirst(status string) bool {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			numbers := strings.Fields(rest)
			return len(numbers) == 2 && numbers[1] == "1"
		}
	}
	return false
}

// find returns the first process of the host at dir, or 0.
func find(dir string) (int, error) {
	all, err := pids()
	if err != nil {
		return 0, err
	}
	for _, pid := range all {
		if isHolder(pid, dir) {
			return pid, nil
		}
	}
	return 0, nil
}

// pids are all processes that the machine has.
func pids() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all, nil
}

// pids are the host's processes that run the program, by the name of its file.
func (h *Host) pids(program string) ([]int, error) {
	all, err := pids()
	if err != nil {
		return nil, err
	}
	space, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(h.pid), "ns", "pid"))
	if err != nil || !isHolder(h.pid, h.dir) {
		return nil, ErrNone
	}
	return slices.DeleteFunc(all, func(pid int) bool {
		proc := filepath.Join("/proc", strconv.Itoa(pid))
		other, err := os.Readlink(filepath.Join(proc, "ns", "pid"))
		if err != nil || other != space {
			return true
		}
		exe, err := os.Readlink(filepath.Join(proc, "exe"))
		return err != nil || strings.TrimSuffix(filepath.Base(exe), " (deleted)") != program
	}), nil
}

// PIDs are the host's processes that run the program, such as libvirtd or
// qemu-system-x86_64, as the machine sees them.
func (h *Host) PIDs(program string) ([]int, error) {
	found, err := h.pids(program)
	if err != nil {
		return nil, fmt.Errorf("look for %s on the host at %s: %w", program, h.dir, err)
	}
	return found, nil
}

// Kill ends all of the host's processes that run the program with SIGKILL, and
// waits for their end. None is fine.
func (h *Host) Kill(ctx context.Context, program string) error {
	for {
		found, err := h.PIDs(program)
		if err != nil || len(found) == 0 {
			return err
		}
		for _, pid := range found {
			still := func() bool {
				now, err := h.pids(program)
				return err == nil && slices.Contains(now, pid)
			}
			if err := killOne(ctx, pid, still); err != nil {
				return fmt.Errorf("kill %s: %w", program, err)
			}
		}
		// One of them may have made another meanwhile.
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("kill %s: %w", program, err)
		}
	}
}

// kill ends the host at dir with all that runs on it: the kernel ends what is
// in a namespace of processes before its first one is gone.
func kill(ctx context.Context, dir string) error {
	pid, err := find(dir)
	if err != nil || pid == 0 {
		return err
	}
	return killOne(ctx, pid, func() bool { return isHolder(pid, dir) })
}

// killOne kills the process and waits for its end, if it is still who was meant
// once it is held on to.
func killOne(ctx context.Context, pid int, still func() bool) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("hold on to process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if !still() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(poll, 100) // ms, after which ctx is looked at
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for the end of process %d: %w", pid, err)
		}
		if n > 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("wait for the end of process %d: %w", pid, err)
		}
	}
}
