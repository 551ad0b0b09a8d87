//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// counts is what one static attach sent to the kernel's rtnetlink, by type of
// message, and how many programs it started.
type counts struct {
	Messages map[string]int `json:"messages"`
	Programs int            `json:"programs"`
}

// typeNames are linux/rtnetlink.h's.
var typeNames = map[uint16]string{
	unix.RTM_NEWLINK: "RTM_NEWLINK", unix.RTM_SETLINK: "RTM_SETLINK", unix.RTM_GETLINK: "RTM_GETLINK", unix.RTM_DELLINK: "RTM_DELLINK",
	unix.RTM_NEWADDR: "RTM_NEWADDR", unix.RTM_GETADDR: "RTM_GETADDR", unix.RTM_DELADDR: "RTM_DELADDR",
	unix.RTM_NEWROUTE: "RTM_NEWROUTE", unix.RTM_GETROUTE: "RTM_GETROUTE", unix.RTM_DELROUTE: "RTM_DELROUTE",
	unix.RTM_NEWRULE: "RTM_NEWRULE", unix.RTM_GETRULE: "RTM_GETRULE", unix.RTM_DELRULE: "RTM_DELRULE",
}

// count has another process of this program count, as the counting stays with
// a process for good.
func count(ctx context.Context, file *figures.File) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-count")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("count messages: %w", err)
	}
	var c counts
	if err := json.Unmarshal(out, &c); err != nil {
		return fmt.Errorf("count messages: %w", err)
	}
	for name, n := range c.Messages {
		file.Add("messages", name, 0, int64(n), "messages", nil)
	}
	file.Add("messages", "programs started", 0, int64(c.Programs), "programs", nil)
	return nil
}

// countOne attaches one NIC and prints what that sent.
func countOne(ctx context.Context, out io.Writer) error {
	w, err := newWorld(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	var on atomic.Bool
	c := &counts{Messages: map[string]int{}}
	t := staticTools()[0]
	attach := t.attach
	t.attach = func(ctx context.Context, a *attachment) error {
		if err := c.listen(&on); err != nil {
			return err
		}
		on.Store(true)
		defer on.Store(false)
		return attach(ctx, a)
	}
	if _, _, err := w.run(ctx, t, static); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(c)
}

// notification and response are seccomp_unotify(2)'s.
type (
	notification struct {
		id        uint64
		pid, flag uint32
		nr        int32
		arch      uint32
		ip        uint64
		args      [6]uint64
	}
	response struct {
		id   uint64
		val  int64
		err  int32
		flag uint32
	}
)

// listen makes the kernel ask us before each send and exec of this process. We
// always say yes. There is no way back, but for the process's end.
func (c *counts) listen(on *atomic.Bool) error {
	ask := func(nr uint32) []unix.SockFilter {
		return []unix.SockFilter{
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		}
	}
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the call's number
	for _, nr := range []uint32{unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_EXECVE} {
		program = append(program, ask(nr)...)
	}
	program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return fmt.Errorf("listen to own system calls: %w", errno)
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		return err
	}
	go c.answer(int(fd), memory, on)
	return nil
}

func (c *counts) answer(fd int, memory *os.File, on *atomic.Bool) {
	for {
		var n notification
		if errno := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); errno != 0 {
			if errors.Is(errno, unix.EINTR) || errors.Is(errno, unix.ENOENT) { // the caller was interrupted
				continue
			}
			return
		}
		if on.Load() {
			c.see(n, memory)
		}
		r := response{id: n.id, flag: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		_ = ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)) // or the caller is gone
	}
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
	return errno
}

// see counts one call. What it sends is still in the caller's memory, as the
// caller waits.
func (c *counts) see(n notification, memory *os.File) {
	if n.nr == unix.SYS_EXECVE {
		c.Programs++
		return
	}
	domain, err := unix.GetsockoptInt(int(n.args[0]), unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_NETLINK {
		return
	}
	head := make([]byte, unix.NLMSG_HDRLEN)
	name := "not readable"
	if n.nr == unix.SYS_SENDTO {
		if _, err := memory.ReadAt(head, int64(n.args[1])); err == nil {
			kind := binary.NativeEndian.Uint16(head[4:])
			if name = typeNames[kind]; name == "" {
				name = fmt.Sprintf("type %d", kind)
			}
		}
	}
	c.Messages[name]++
}
