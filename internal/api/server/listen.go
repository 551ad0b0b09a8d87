//go:build linux

package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketMode lets the owner and the group connect, and nobody else.
const socketMode = 0o660

// defaultGroup is tried when no group is named.
const defaultGroup = "nicferry"

// Listen makes a unix socket at path that root and the members of group may
// use. A group that does not exist is an error. With no group named it is the
// group nicferry; if there is none, the log has a note and the socket is
// root's alone. The directory is made if need be. A socket that a dead process
// has left behind is replaced; one that answers is an error, and so is
// anything else that is there. Closing the listener removes the socket.
func Listen(path, group string, log *slog.Logger) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the socket: %w", err)
	}
	// Two that start at once must not each take the other's for a leftover.
	lock, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock the directory of the socket: %w", err)
	}
	defer lock.Close() // and with it the lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if err := checkFree(path); err != nil {
		return nil, err
	}
	gid, err := groupID(group, log)
	if err != nil {
		return nil, err
	}
	return listenPrivately(path, gid)
}

// checkFree says why path cannot be listened on. A socket that nobody answers
// on does not matter: the rename will replace it.
func checkFree(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the socket: %w", err)
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("listen on %s: is there and is not a socket; move it away", path)
	}
	// One that was killed a moment ago takes no more connections, and refuses none
	// before the kernel has cleared it away.
	for end := time.Now().Add(leavingTime); ; {
		conn, err := net.DialTimeout("unix", path, time.Second)
		switch {
		case err == nil:
			conn.Close()
			return fmt.Errorf("another nicferryd answers on %s; stop it first", path)
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
			return nil
		case !isTimeout(err) || time.Now().After(end):
			return fmt.Errorf("another nicferryd may be on %s: %w", path, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// leavingTime is how long a nicferryd that answers nothing may take to end.
const leavingTime = 15 * time.Second

func isTimeout(err error) bool {
	var told net.Error
	return errors.As(err, &told) && told.Timeout()
}

// listenPrivately makes the socket where nobody else can reach it and shows it
// only with its final owner and mode.
func listenPrivately(path string, gid int) (net.Listener, error) {
	private, err := os.MkdirTemp(filepath.Dir(path), ".")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the new socket: %w", err)
	}
	defer os.RemoveAll(private)
	hidden := filepath.Join(private, "s")
	unixListener, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	unixListener.SetUnlinkOnClose(false)
	err = errors.Join(os.Chown(hidden, -1, gid), os.Chmod(hidden, socketMode))
	if err == nil {
		err = os.Rename(hidden, path)
	}
	if err != nil {
		unixListener.Close()
		return nil, fmt.Errorf("set up the socket %s: %w", path, err)
	}
	made, err := os.Lstat(path)
	if err != nil {
		unixListener.Close()
		return nil, fmt.Errorf("look at the new socket: %w", err)
	}
	return &listener{UnixListener: unixListener, path: path, made: made}, nil
}

// groupID looks the group up; -1 stands for the process's own.
func groupID(name string, log *slog.Logger) (int, error) {
	wish := name
	if name == "" {
		name = defaultGroup
	}
	group, err := user.LookupGroup(name)
	if _, unknown := errors.AsType[user.UnknownGroupError](err); unknown && wish == "" {
		log.Info("socket is for root only: no such group", slog.String("group", name))
		return -1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("give the socket to group %q: %w; make it with groupadd or name another one", name, err)
	}
	return strconv.Atoi(group.Gid)
}

// listener removes its socket when closed, unless a successor has replaced it.
type listener struct {
	*net.UnixListener
	path string
	made os.FileInfo
}

// Close may be called twice.
func (l *listener) Close() error {
	err := l.UnixListener.Close()
	if now, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(now, l.made) {
		err = errors.Join(err, os.Remove(l.path))
	}
	return err
}

// Addr is where the socket is, not where it was made.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }
