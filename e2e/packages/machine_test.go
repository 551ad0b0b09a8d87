//go:build linux

package packages

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// patience bounds each thing that is waited for. On an emulated machine it takes
// long.
const patience = 2 * time.Minute

//go:embed boot.sh
var bootScript []byte

// A machine is namespaces with systemd as the first process, dockerd as one of
// its services, and this machine's packages.
type machine struct {
	t   *testing.T
	pid string // of its first process
}

// newMachine boots a machine. It goes with the test.
func newMachine(t *testing.T) *machine {
	t.Helper()
	netnstest.RequireRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	node, err := lab.Start(ctx, lab.Options{NoEngine: true})
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(node.Dir(), "systemd.log"))
			t.Logf("the machine says:\n%s\n%s", text, m.journal())
		}
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	script := filepath.Join(node.Dir(), "boot.sh")
	if err := os.WriteFile(script, bootScript, 0o600); err != nil {
		t.Fatal(err)
	}
	systemd, err := node.Spawn(lab.Program{
		Name: "systemd", Args: []string{"/bin/sh", script, filepath.Join(node.Dir(), "machine"), node.Name()},
	})
	if err != nil {
		t.Fatal(err)
	}
	m.until("the machine to boot", func(context.Context) error {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", systemd.PID()))
		if err != nil {
			return err
		}
		m.pid = strings.TrimSpace(string(children))
		if comm, err := os.ReadFile("/proc/" + m.pid + "/comm"); err != nil || string(comm) != "systemd\n" {
			return fmt.Errorf("its first process is %q: %w", comm, err)
		}
		return m.command(ctx, "systemctl", "is-active", "--quiet", "multi-user.target").Run()
	})
	return m
}

// command prepares a program to run inside, with what a root shell has. It ends
// with ctx.
func (m *machine) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	enter := []string{"--target", m.pid, "--all", "--wdns=/", "--", "setpriv", "--pdeathsig", "KILL", "--", name}
	cmd := exec.CommandContext(ctx, lab.Lookup("nsenter"), append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"}
	return cmd
}

// try runs a program inside and returns what it prints.
func (m *machine) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	out, err := m.command(ctx, name, args...).CombinedOutput()
	text := string(bytes.TrimSpace(out))
	if err != nil {
		return text, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return text, nil
}

// run is try where it must work.
func (m *machine) run(name string, args ...string) string {
	m.t.Helper()
	out, err := m.try(name, args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// journal is what the daemons have said.
func (m *machine) journal() string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.t.Context()), patience)
	defer cancel()
	out, _ := m.command(ctx, "journalctl", "--no-pager", "--lines=200", "--unit=nicferryd", "--unit=nicferry-agent").CombinedOutput()
	return string(out)
}

// until waits until f has no error.
func (m *machine) until(what string, f func(context.Context) error) {
	m.t.Helper()
	if err := lab.Until(m.t.Context(), what, patience, 50*time.Millisecond, f); err != nil {
		m.t.Fatal(err)
	}
}

// path is where a file of the machine is for us.
func (m *machine) path(name string) string { return filepath.Join("/proc", m.pid, "root", name) }

// image makes the lab's image in the machine's engine.
func (m *machine) image() {
	m.t.Helper()
	m.run("systemctl", "start", "docker.service")
	args, archive, err := lab.ImageImport(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := m.command(m.t.Context(), "docker", args...)
	cmd.Stdin = archive
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("make the image: %v: %s", err, out)
	}
}

// pinger pings addr from a container each 10 ms until stop is called, which
// returns what was counted.
func (m *machine) pinger(container, addr string) (stop func() lab.PingResult) {
	m.t.Helper()
	pid, err := strconv.Atoi(m.run("docker", "inspect", "--format", "{{.State.Pid}}", container))
	if err != nil {
		m.t.Fatal(err)
	}
	from := func(ctx context.Context, name string, args ...string) *exec.Cmd {
		return m.command(ctx, "nsenter", append([]string{"--target", strconv.Itoa(pid), "--net", "--", name}, args...)...)
	}
	return pingUntil(m.t, from, addr)
}
