package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A hatch is a socket beside the store's file, by which its owner, and root, get what
// the store holds while it is open. It is no part of the API: who may use that may not
// read the CA's key.
type hatch struct {
	listener *net.UnixListener
	path     string
	wg       sync.WaitGroup

	mu     sync.Mutex // guards what follows
	closed bool
	open   map[net.Conn]struct{}
}

// hatchPath is where a store's is.
func hatchPath(path string) string { return path + ".sock" }

// sendTime is how long whoever asks may leave a part of the answer unread: until it has
// all, the file grows by what is written.
const sendTime = 30 * time.Second

// openHatch listens. Who holds the lock of the file may take away what is in the way.
func openHatch(s *Store) (*hatch, error) {
	path := hatchPath(s.path)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	var listener *net.UnixListener
	err := nearby(path, func(near string) (err error) {
		listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: near, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	listener.SetUnlinkOnClose(false) // by the name that it was made under
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	h := &hatch{listener: listener, path: path, open: map[net.Conn]struct{}{}}
	h.wg.Go(func() { h.serve(s) })
	return h, nil
}

// nearby calls do with a name for path that is short enough for a socket.
func nearby(path string, do func(near string) error) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return do("/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + filepath.Base(path))
}

func (h *hatch) serve(s *Store) {
	for {
		conn, err := h.listener.AcceptUnix()
		if err != nil {
			return
		}
		if !h.add(conn) || !mayRead(conn) {
			h.drop(conn)
			continue
		}
		h.wg.Go(func() {
			defer h.drop(conn)
			_ = s.send(patient{conn}) // who asks sees that the end is missing
		})
	}
}

// add notes a connection; false once the hatch is closed.
func (h *hatch) add(conn net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.open[conn] = struct{}{}
	return true
}

func (h *hatch) drop(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = conn.Close()
	delete(h.open, conn)
}

// close ends all that is under way.
func (h *hatch) close() error {
	h.mu.Lock()
	h.closed = true
	for conn := range h.open {
		_ = conn.Close()
	}
	h.mu.Unlock()
	err := errors.Join(h.listener.Close(), os.Remove(h.path))
	h.wg.Wait()
	return err
}

// mayRead says whether root is at the other end, or who this process runs as. The
// socket's mode says the same; this holds also where somebody has changed that.
func mayRead(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var peer *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) { peer, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return err == nil && asked == nil && (peer.Uid == 0 || int(peer.Uid) == os.Geteuid())
}

// A patient connection waits for its reader, but not for ever.
type patient struct{ net.Conn }

func (p patient) Write(data []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return 0, err
	}
	return p.Conn.Write(data)
}

// dial reaches the process that has the store at path open.
func dial(ctx context.Context, path string) (conn net.Conn, err error) {
	err = nearby(hatchPath(path), func(near string) error {
		conn, err = (&net.Dialer{}).DialContext(ctx, "unix", near)
		return err
	})
	return conn, err
}
