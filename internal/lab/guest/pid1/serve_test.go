//go:build linux

package pid1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab/guest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving makes a client of a server in this process: commands run on this
// machine.
func serving(t *testing.T, g *machine) *guest.Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.serve(ctx, listener)
		g.work.Wait()
	}()
	t.Cleanup(func() {
		cancel()
		listener.Close()
		<-done
	})
	return &guest.Client{
		Addr: netip.MustParseAddr("127.0.0.1"),
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, listener.Addr().String())
		},
	}
}

func TestRun(t *testing.T) {
	c := serving(t, &machine{})
	big := strings.Repeat("0123456789", 1<<17)
	tests := []struct {
		name, script, stdin string
		env                 []string
		dir                 string
		stdout, stderr      string
		code                int
		signal              string
	}{
		{name: "output", script: "echo out; echo err >&2", stdout: "out\n", stderr: "err\n"},
		{name: "exit status", script: "echo why >&2; exit 3", stderr: "why\n", code: 3},
		{name: "killed", script: "kill -KILL $$", code: -1, signal: "killed"},
		{name: "input", script: "cat", stdin: big, stdout: big},
		{name: "input that nobody reads", script: "exit 0", stdin: big},
		{name: "environment", script: "echo $NAME", env: []string{"NAME=value"}, stdout: "value\n"},
		{name: "directory", script: "pwd", dir: "/usr", stdout: "/usr\n"},
		{name: "no input", script: "cat", stdout: ""},
		{name: "a daemon left behind holds the output", script: "sleep 600 & echo $!", stdout: "*"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			cmd := c.Command(t.Context(), "sh", "-c", tt.script)
			cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = tt.env, tt.dir, &stdout, &stderr
			if tt.stdin != "" {
				cmd.Stdin = strings.NewReader(tt.stdin)
			}
			err := cmd.Run()
			var exit *guest.ExitError
			if !errors.As(err, &exit) {
				exit = &guest.ExitError{}
				if err != nil {
					t.Fatal(err)
				}
			}
			if exit.Code != tt.code || exit.Signal != tt.signal {
				t.Errorf("ended with %+v, want code %d and signal %q", exit, tt.code, tt.signal)
			}
			if tt.stdout == "*" {
				kill(t, stdout.String())
			} else if stdout.String() != tt.stdout {
				t.Errorf("said %.100q, want %.100q", stdout.String(), tt.stdout)
			}
			if stderr.String() != tt.stderr {
				t.Errorf("complained %.100q, want %.100q", stderr.String(), tt.stderr)
			}
		})
	}
}

// kill ends a process that a test started.
func kill(t *testing.T, text string) {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestRunSaysWhyNot(t *testing.T) {
	c := serving(t, &machine{})
	for _, args := range [][]string{{"nicferry-no-such-program"}, {}} {
		if err := c.Command(t.Context(), args...).Run(); err == nil {
			t.Errorf("%q ran", args)
		}
	}
	_, err := c.Command(t.Context(), "sh", "-c", "echo reason >&2; exit 1").Output()
	if err == nil || !strings.Contains(err.Error(), "exit status 1: reason") {
		t.Errorf("Output: %v, want the reason", err)
	}
}

// A client that goes away takes with it what it runs, also what does not read
// its input.
func TestRunEndsWithItsClient(t *testing.T) {
	c := serving(t, &machine{})
	ctx, cancel := context.WithCancel(t.Context())
	file := filepath.Join(t.TempDir(), "pid")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := c.Command(ctx, "sh", "-c", "sleep 600 & echo $! >"+file+"; wait")
	cmd.Stdin = strings.NewReader(strings.Repeat("x", 1<<20))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := cmd.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v, want the end of the context", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := awaitGone(pid); err != nil {
		t.Error(err)
	}
}

// awaitGone waits for the end of a process that is nobody's child here.
func awaitGone(pid int) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer func() { _ = process.Release() }()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return nil
		}
	}
	return errors.New("it still runs")
}

func TestSignalReachesTheCommand(t *testing.T) {
	c := serving(t, &machine{})
	reader, writer := io.Pipe()
	cmd := c.Command(t.Context(), "sh", "-c", "trap 'exit 7' TERM; echo ready; sleep 600 & wait")
	cmd.Stdout = writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- cmd.Wait() }()
	if _, err := io.ReadFull(reader, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *guest.ExitError
	if err := <-done; !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("ended with %v, want exit status 7", err)
	}
}

func TestPutAndGet(t *testing.T) {
	c := serving(t, &machine{})
	dir := t.TempDir()
	path := filepath.Join(dir, "new", "file")
	want := bytes.Repeat([]byte("data"), 1<<18)
	for range 2 { // the second time over the first
		if err := c.Put(t.Context(), path, 0o640, bytes.NewReader(want)); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got, err := c.Get(t.Context(), path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(want))
	}
	if err := c.Put(t.Context(), path, 0o600, io.MultiReader(strings.NewReader("half"), failing{})); err == nil {
		t.Error("half a file was written")
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("half a file replaced the whole one: %d bytes, %v", len(got), err)
	}
	if _, err := c.Get(t.Context(), filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "No such file") {
		t.Errorf("Get: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("torn") }

func TestSpawnOutlivesItsClient(t *testing.T) {
	c := serving(t, &machine{})
	log := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(log, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(log, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	pid, err := c.Spawn(t.Context(), log, "sh", "-c", "echo $$; exec sleep 600")
	if err != nil {
		t.Fatal(err)
	}
	want := strconv.Itoa(pid) + "\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(reader, got); err != nil || string(got) != want {
		t.Errorf("said %q, %v; want %q", got, err, want)
	}
	kill(t, want)
}

func TestAwaitDocker(t *testing.T) {
	settled := make(chan struct{})
	close(settled)
	tests := []struct {
		name   string
		docker *docker
		say    string
	}{
		{"off", nil, "without dockerd"},
		{"broken", &docker{settled: settled, err: errors.New("its log ends with this")}, "its log ends with this"},
		{"ready", &docker{settled: settled, ready: 3 * time.Second}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			took, err := serving(t, &machine{docker: tt.docker}).AwaitDocker(t.Context())
			switch {
			case tt.say == "" && (err != nil || took != 3*time.Second):
				t.Errorf("%s, %v; want 3s", took, err)
			case tt.say != "" && (err == nil || !strings.Contains(err.Error(), tt.say)):
				t.Errorf("%v, want %q", err, tt.say)
			}
		})
	}
}

// Hostile or broken clients are hung up on.
func TestServeHangsUp(t *testing.T) {
	c := serving(t, &machine{})
	for _, said := range []string{"GET / HTTP/1.1\r\n", "q\x00\x00\x00\x02{x", "i\x00\x00\x00\x01x", "q\xff\xff\xff\xff"} {
		conn, err := c.Dial(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, said); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); len(answer) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q: %q, %v; want to be hung up on", said, answer, err)
		}
		conn.Close()
	}
}

func TestMainRefusesAnyOtherMachine(t *testing.T) {
	if err := Main(); err == nil || !strings.Contains(err.Error(), "not a virtual machine") {
		t.Errorf("Main: %v", err)
	}
}
