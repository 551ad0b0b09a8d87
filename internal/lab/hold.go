//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// holdScript is what a node's first process does before it becomes an init
// that only reaps. /sys is mounted anew because it shows the network of who
// mounted it; /proc because it shows the processes of who mounted it.
const holdScript = `set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/cgroup /run/lock /run/netns
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --move /run/cgroup /sys/fs/cgroup
mount -t proc proc /proc
ip link set lo up
echo ready
exec docker-init -- sleep infinity`

// A holder is process 1 of a node. When it ends, the kernel kills every
// process of the node before its end can be waited for.
type holder struct {
	pid    int
	cmd    *exec.Cmd
	exited chan struct{}
}

// hold starts a holder in new namespaces and waits until it has mounted what a
// node needs.
func hold(ctx context.Context) (*holder, error) {
	cmd := exec.Command("sh", "-c", holdScript)
	cmd.Env = environ()
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, // makes all mounts private as well
		Setsid:       true,                                       // the terminal's ctrl-C is for us alone
		Pdeathsig:    syscall.SIGKILL,
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("hold namespaces: %w", err)
	}
	h := &holder{cmd: cmd, exited: make(chan struct{})}
	line := make(chan string, 1)
	read := func() {
		s, _ := bufio.NewReader(stdout).ReadString('\n')
		line <- s
	}
	if err := h.start(read); err != nil {
		return nil, fmt.Errorf("hold namespaces: %w", err)
	}
	select {
	case s := <-line:
		if s == "ready\n" {
			return h, nil
		}
		err = errors.New("its first process ended early")
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(fmt.Errorf("hold namespaces: %w", err), h.end(), noted(&stderr))
}

// start runs the command on a thread that lives as long as the command: the
// kernel sends Pdeathsig when the *thread* that started a process ends.
func (h *holder) start(read func()) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := h.cmd.Start()
		if err == nil {
			h.pid = h.cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		read()
		_ = h.cmd.Wait() // it is always killed
		close(h.exited)
	}()
	return <-started
}

// end kills the holder and with it all that is in the node. It may be called
// twice, and on nil.
func (h *holder) end() error {
	if h == nil {
		return nil
	}
	_ = h.cmd.Process.Kill() // by pidfd; an error means that it has ended
	select {
	case <-h.exited:
		return nil
	case <-time.After(endTime):
		return fmt.Errorf("process %d and what runs in its namespaces did not end within %s", h.pid, endTime)
	}
}

// noted is what a program wrote to its standard error, as an error.
func noted(stderr *bytes.Buffer) error {
	if s := bytes.TrimSpace(stderr.Bytes()); len(s) > 0 {
		return errors.New(string(s))
	}
	return nil
}
