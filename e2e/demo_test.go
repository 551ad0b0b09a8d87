package e2e

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/lab/story"
)

const (
	demoLimit    = 3 * time.Minute // what the demo may take on the slowest machine; without other work it is a quarter of a minute
	pingInterval = 10 * time.Millisecond
)

// demo runs the demo to its end and returns what it wrote and its exit code.
func demo(t *testing.T, args ...string) (f story.Figures, said string, exit int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("needs root to make network namespaces")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*demoLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "nicferry-lab"), append([]string{"demo", "--local"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it cleans up
	cmd.WaitDelay = 20 * time.Second
	return labtest.Played(t, cmd)
}

func TestDemo(t *testing.T) {
	f, said, exit := demo(t)
	if exit != 0 {
		t.Fatalf("exit %d, want 0:\n%s", exit, said)
	}
	if len(f.Left) > 0 {
		t.Errorf("left behind: %q", f.Left)
	}
	if f.Seconds <= 0 || f.Seconds > demoLimit.Seconds() {
		t.Errorf("took %.1f s, want at most %s", f.Seconds, demoLimit)
	}
	var told []string
	for _, s := range f.Steps {
		told = append(told, s.What+" → "+s.Result)
	}
	for _, part := range []string{"by DHCP", "10.77.1.20 and fd77::20", "AddressTaken", "docker restart", "docker rm -f"} {
		if !strings.Contains(strings.Join(told, "\n"), part) {
			t.Errorf("no step tells of %q:\n%s", part, strings.Join(told, "\n"))
		}
	}
	for _, victim := range []string{"agent", "controller"} {
		p, ok := f.Pings[victim]
		if !ok {
			t.Errorf("no ping while the %s was killed", victim)
			continue
		}
		if p.Received != p.Sent {
			t.Errorf("%s killed: %d sent, %d received", victim, p.Sent, p.Received)
		}
		// A ping that sends too rarely would miss a short silence. On a machine
		// with other work it comes late, now and then or mostly.
		if least := int(0.2 * float64(p.Duration) / float64(pingInterval)); p.Sent == 0 || p.Sent < least {
			t.Errorf("%s killed: %d sent in %s, want at least %d", victim, p.Sent, p.Duration, least)
		}
	}
}

// The demo's look at the machine must be able to fail.
func TestDemoSeesAPlantedLeak(t *testing.T) {
	f, said, exit := demo(t, "--plant")
	if exit != 1 {
		t.Errorf("exit %d, want 1:\n%s", exit, said)
	}
	if !strings.Contains(strings.Join(f.Left, "\n"), "planted0") {
		t.Errorf("left behind: %q, want the planted veth", f.Left)
	}
}

// Ctrl-C in the middle leaves no file, no mount and no process.
func TestDemoInterrupted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("needs root to make network namespaces")
	}
	dir, err := os.MkdirTemp("", "nf-") // short: sockets will be in it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "nicferry-lab"), "demo", "--local")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "by DHCP") { // everything runs now
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit code 1", err)
	}
	if !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("it says %q", stderr.String())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in its directory: %v, %v", left, err)
	}
	if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || bytes.Contains(mounts, []byte(dir)) {
		t.Errorf("mounts in its directory are left (%v):\n%s", err, mounts)
	}
	labtest.NoProcessOf(t, dir)
}
