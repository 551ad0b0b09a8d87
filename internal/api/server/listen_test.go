package server_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api/server"
)

func TestListenGivesTheSocketToTheGroup(t *testing.T) {
	t.Parallel()
	group, err := user.LookupGroup("daemon")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "run", "s.sock")
	ln, err := server.Listen(path, "daemon", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeSocket|0o660 || strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Gid)) != group.Gid {
		t.Errorf("the socket is %s, group %d; want 0660 and %s", info.Mode(), info.Sys().(*syscall.Stat_t).Gid, group.Gid)
	}
	if dir, err := os.Stat(filepath.Dir(path)); err != nil || dir.Mode().Perm() != 0o755 {
		t.Errorf("the directory: %v, %v; want 0755", dir.Mode(), err)
	}
	if ln.Addr().String() != path {
		t.Errorf("Addr is %s", ln.Addr())
	}
	for range 2 {
		ln.Close()
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestListenWithoutTheGroup(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	path := filepath.Join(t.TempDir(), "s.sock")
	if _, err := server.Listen(path, "no-such-group", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "groupadd") {
		t.Errorf("a group that is named: %v, want an error that says what to do", err)
	}
	ln, err := server.Listen(path, "", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = user.LookupGroup("nicferry")
	if noted := strings.Contains(log.String(), "socket is for root only"); noted != (err != nil) {
		t.Errorf("group nicferry: %v, and the log says %q", err, &log)
	}
}

func TestListenReplacesOnlyTheDead(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	path := filepath.Join(t.TempDir(), "s.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close() // as kill -9 leaves it
	ln, err := server.Listen(path, "", log)
	if err != nil {
		t.Fatalf("the socket of a dead process: %v", err)
	}
	defer ln.Close()
	if _, err := server.Listen(path, "", log); err == nil || !strings.Contains(err.Error(), "another nicferryd answers on "+path) {
		t.Errorf("the socket of a live one: %v", err)
	}
	file := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Listen(file, "", log); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file: %v", err)
	}
	if text, err := os.ReadFile(file); string(text) != "x" || err != nil {
		t.Errorf("the file is %q, %v", text, err)
	}
}

// A predecessor that ends late must not take its successor's socket along.
// One that was killed may still hold the socket, and take nobody any more.
func TestListenWaitsForTheDying(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.sock")
	dying, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{syscall.Bind(dying, &syscall.SockaddrUnix{Name: path}), syscall.Listen(dying, 0)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	waits, err := net.Dial("unix", path) // there is room for one that nobody takes
	if err != nil {
		t.Fatal(err)
	}
	defer waits.Close()
	if second, err := net.Dial("unix", path); err == nil {
		second.Close()
		t.Fatal("there is room for a second one, so this tests nothing")
	}
	time.AfterFunc(200*time.Millisecond, func() { syscall.Close(dying) })
	ln, err := server.Listen(path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
}

func TestListenerRemovesOnlyItsOwnSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.sock")
	ln, err := server.Listen(path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	successor, err := server.Listen(path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer successor.Close()
	ln.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the successor's socket: %v", err)
	}
	conn.Close()
}

func TestListenIsWonByOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.sock")
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if ln, err := server.Listen(path, "", slog.New(slog.DiscardHandler)); err == nil {
				won.Add(1)
				t.Cleanup(func() { ln.Close() })
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 8 are listening, want 1", won.Load())
	}
}

func TestRunLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.sock")
	log := slog.New(slog.DiscardHandler)
	ln, err := server.Listen(path, "", log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	begun, finish := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		if r.Context().Err() != nil {
			t.Error("the request was cut off")
		}
		io.WriteString(w, "done")
	})
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, ln, handler, log) }()
	answered := make(chan string, 1)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	go func() {
		resp, err := (&http.Client{Transport: transport}).Get("http://x/")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		answered <- string(text)
	}()
	<-begun
	stop()
	close(finish)
	if got := <-answered; got != "done" {
		t.Errorf("got %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}
