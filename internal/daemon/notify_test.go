//go:build linux

package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/daemon"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A manager hears what a service manager hears.
type manager struct {
	*testing.T
	conn *net.UnixConn
}

// newManager listens at name and sets the environment as a manager would.
func newManager(t *testing.T, name string, watchdog time.Duration) manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	usec := ""
	if watchdog > 0 {
		usec = strconv.FormatInt(watchdog.Microseconds(), 10)
	}
	t.Setenv("WATCHDOG_USEC", usec)
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	return manager{t, conn}
}

// hears waits for the next message.
func (m manager) hears() string {
	m.Helper()
	buf := make([]byte, 4096)
	m.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := m.conn.Read(buf)
	if err != nil {
		m.Fatalf("nothing was told: %v", err)
	}
	return string(buf[:n])
}

func notifier(t *testing.T) *daemon.Notifier {
	t.Helper()
	n, err := daemon.NewNotifier(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNotifierTells(t *testing.T) {
	for kind, name := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": "@nicferry-test-" + strconv.Itoa(os.Getpid()),
	} {
		t.Run(kind, func(t *testing.T) {
			m := newManager(t, name, 0)
			n := notifier(t)
			n.Ready("serving")
			n.Status("serving") // known already
			n.Status("waiting\nWATCHDOG=trigger\x1b")
			n.Stopping()
			for _, want := range []string{
				"READY=1\nSTATUS=serving", "STATUS=waiting WATCHDOG=trigger ", "STOPPING=1\nSTATUS=stopping",
			} {
				if got := m.hears(); got != want {
					t.Errorf("told %q, want %q", got, want)
				}
			}
		})
	}
}

// F42: the signs of life stop while something is stuck, and only then.
func TestWatchdogIsHealths(t *testing.T) {
	m := newManager(t, filepath.Join(t.TempDir(), "notify"), 40*time.Millisecond)
	n := notifier(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	asked := 0
	wg.Go(func() {
		n.Watch(ctx, func(ctx context.Context) error {
			asked++
			switch asked {
			case 2:
				return errors.New("the store does not answer")
			case 3: // hangs until its time is over
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
	})
	for _, want := range []string{
		"WATCHDOG=1", "STATUS=not well: the store does not answer", "STATUS=not well: context deadline exceeded",
		"WATCHDOG=1\nSTATUS=well again", "WATCHDOG=1",
	} {
		if got := m.hears(); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

func TestNotifierWithoutAManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	n := notifier(t)
	n.Ready("serving")
	for _, wrong := range []string{"soon", "0", "-1", "1e6", "99999999999999999999"} {
		t.Setenv("WATCHDOG_USEC", wrong)
		if _, err := daemon.NewNotifier(slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "WATCHDOG_USEC") {
			t.Errorf("%q: got %v, want it to name WATCHDOG_USEC", wrong, err)
		}
	}
	t.Setenv("WATCHDOG_PID", "1") // another's
	notifier(t)
}

// F42: a daemon that was started by hand says in its log what it would tell.
func TestHealthIsToldWithoutAManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		n, err := daemon.NewNotifier(slog.New(slog.NewTextHandler(&said, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		n.Watch(ctx, func(ctx context.Context) error {
			switch asked++; asked {
			case 1:
				return errors.New("the kernel is stuck")
			case 2: // hangs until its time is over
				<-ctx.Done()
				return ctx.Err()
			case 4:
				cancel()
			}
			return nil
		})
		for _, want := range []string{`"the kernel is stuck"`, `"context deadline exceeded"`, "well again"} {
			if strings.Count(said.String(), want) != 1 {
				t.Errorf("logged %q, want %s once", said.String(), want)
			}
		}
	})
}

// A manager that does not read must not hold the daemon up for long.
func TestNotifierLeavesADeafManager(t *testing.T) {
	newManager(t, filepath.Join(t.TempDir(), "notify"), 0)
	n := notifier(t)
	for begin := time.Now(); ; {
		one := time.Now()
		n.Ready("")
		if took := time.Since(one); took > 500*time.Millisecond { // its queue was full
			if took > 5*time.Second {
				t.Errorf("a word took %s", took)
			}
			return
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal("the manager's queue does not fill")
		}
	}
}

// A manager that has gone must not take the daemon along.
func TestNotifierOutlivesItsManager(t *testing.T) {
	m := newManager(t, filepath.Join(t.TempDir(), "notify"), 0)
	m.conn.Close()
	var said bytes.Buffer
	n, err := daemon.NewNotifier(slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	n.Ready("serving")
	n.Stopping()
	if strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), "not told") {
		t.Errorf("logged %q, want one line that nobody was told", said.String())
	}
}
