//go:build linux

// Package netns is the only place that enters another network namespace.
//
// Code elsewhere opens sockets and netlink handles inside a namespace and uses
// them from outside, so no goroutine stays in a foreign one.
package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Namespace is a network namespace held open by a file descriptor, so that
// it lives while we look at it. A PID or a path is not held: either may come
// to mean another namespace.
type Namespace struct {
	handle netns.NsHandle
	id     ID
}

// ID identifies a live namespace: device and inode of its nsfs file.
type ID struct{ Dev, Ino uint64 }

// String is "net:[inode]", as in /proc/PID/ns/net.
func (id ID) String() string { return fmt.Sprintf("net:[%d]", id.Ino) }

// ErrGone means that there is no namespace at the path.
var ErrGone = errors.New("network namespace is gone")

// Open opens the namespace that path names: a bind mount such as Docker's
// SandboxKey, or /proc/PID/ns/net. It returns ErrGone if there is none.
func Open(path string) (*Namespace, error) {
	handle, err := netns.GetFromPath(path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil, fmt.Errorf("open %s: %w", path, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("open network namespace %s: %w", path, err)
	}
	return fromHandle(handle, path)
}

// Current opens the namespace of the calling thread. Called from an ordinary
// goroutine that is the process's own.
func Current() (*Namespace, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	handle, err := netns.Get()
	if err != nil {
		return nil, fmt.Errorf("open own network namespace: %w", err)
	}
	return fromHandle(handle, "own namespace")
}

// fromHandle checks that the file is a network namespace: an ordinary file
// left at a stale bind mount's path opens just as well.
func fromHandle(handle netns.NsHandle, path string) (*Namespace, error) {
	kind, err := unix.IoctlRetInt(int(handle), unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		handle.Close()
		return nil, fmt.Errorf("open %s: not a network namespace: %w", path, ErrGone)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(handle), &st); err != nil {
		handle.Close()
		return nil, fmt.Errorf("stat network namespace %s: %w", path, err)
	}
	return &Namespace{handle: handle, id: ID{Dev: st.Dev, Ino: st.Ino}}, nil
}

// ID tells namespaces apart.
func (n *Namespace) ID() ID { return n.id }

// FD is the descriptor, valid until Close.
func (n *Namespace) FD() int { return int(n.handle) }

// Close lets the namespace go. It may be called twice.
func (n *Namespace) Close() error {
	if !n.handle.IsOpen() {
		return nil
	}
	return n.handle.Close()
}

// Do runs fn on a thread of its own inside the namespace. fn must not start
// goroutines that count on being inside. The thread goes back before it is
// used again; if it cannot, it is left locked and dies with its goroutine.
// Daemons also lock main's thread in an init, because that one cannot die.
func (n *Namespace) Do(fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- n.do(fn) }()
	return <-done
}

func (n *Namespace) do(fn func() error) (err error) {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer home.Close()
	if err := netns.Set(n.handle); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %s: %w", n.id, err)
	}
	defer func() {
		if back := netns.Set(home); back != nil {
			err = errors.Join(err, fmt.Errorf("leave network namespace %s: %w", n.id, back))
			return // still locked: the runtime ends this thread with the goroutine
		}
		runtime.UnlockOSThread()
	}()
	return fn()
}

// New makes an empty namespace that lives until Close.
func New() (ns *Namespace, err error) {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("open own network namespace: %w", err)
	}
	defer home.Close()
	made, err := netns.New()
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	if back := netns.Set(home); back != nil {
		// Still locked: the caller's goroutine keeps a thread that is not fit
		// for other use, and the error ends its work.
		return nil, errors.Join(fmt.Errorf("leave network namespace: %w", back), made.Close())
	}
	runtime.UnlockOSThread()
	return fromHandle(made, "a new namespace")
}

// InProcess is the namespace that a process is in; ErrGone if there is no such
// process. Any other error says nothing about the process.
func InProcess(pid int) (ID, error) {
	path := fmt.Sprintf("/proc/%d/ns/net", pid)
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if pid <= 0 || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return ID{}, fmt.Errorf("look at %s: %w", path, ErrGone)
	}
	if err != nil {
		return ID{}, fmt.Errorf("look at %s: %w", path, err)
	}
	return ID{Dev: st.Dev, Ino: st.Ino}, nil
}
