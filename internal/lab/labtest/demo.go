//go:build linux

package labtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// A Demo says how nicferry-lab is run on a lab of its own. All is required.
type Demo struct {
	// Prefix is what the name of the folder begins with that holds all of it: short,
	// since sockets will be in it.
	Prefix string
	// Programs returns where the programs are, built in dir or elsewhere.
	Programs func(dir string) (bin string, err error)
	// Down takes down what a run that was killed has left of the lab.
	Down func(ctx context.Context, lab string) error
	// Limit is how long it may run.
	Limit time.Duration
}

// Command prepares the run, and returns the lab's folder as well, which must be gone in
// the end.
func (d Demo) Command(t *testing.T, args ...string) (cmd *exec.Cmd, lab string) {
	t.Helper()
	netnstest.RequireRoot(t)
	home, err := os.MkdirTemp("", d.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	lab = filepath.Join(home, "lab")
	t.Cleanup(func() {
		if _, err := os.Stat(lab); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the lab's folder is still there: %v", err)
		}
		if err := errors.Join(d.Down(context.WithoutCancel(t.Context()), lab), os.RemoveAll(home)); err != nil {
			t.Error(err)
		}
	})
	bin, err := d.Programs(filepath.Join(home, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d.Limit)
	t.Cleanup(cancel)
	cmd = exec.CommandContext(ctx, filepath.Join(bin, "nicferry-lab"), append(args, "--dir", lab)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it cleans up
	cmd.WaitDelay = 2 * time.Minute
	return cmd, lab
}

// Played runs a demo to its end, and returns its figures, what it said and its exit
// code. cmd is prepared but for the file of figures, which it is told here.
func Played(t *testing.T, cmd *exec.Cmd) (f story.Figures, said string, exit int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "figures.json")
	cmd.Args = append(cmd.Args, "--json", path)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ended := new(exec.ExitError); err != nil && !errors.As(err, &ended) {
		t.Fatalf("run the demo: %v\n%s", err, out.String())
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		t.Fatalf("read the demo's figures: %v\n%s", err, out.String())
	}
	return f, out.String(), cmd.ProcessState.ExitCode()
}

// Checklist runs a command that goes through a checklist, and wants so many lines, each of
// which holds and names the command that shows it.
func Checklist(t *testing.T, cmd *exec.Cmd, want int) {
	t.Helper()
	var said, progress strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &progress
	err := cmd.Run()
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if err != nil || len(lines) != want {
		t.Fatalf("%d lines, %v:\n%s\n%s", len(lines), err, said.String(), progress.String())
	}
	for _, line := range lines {
		if !strings.Contains(line, " ok ") || !strings.Contains(line, "   $ ") {
			t.Errorf("line is %q", line)
		}
	}
	t.Log(said.String())
}

// NoProcessOf wants that no process has the folder in its command line.
func NoProcessOf(t *testing.T, dir string) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(processes) == 0 {
		t.Fatalf("list processes: %d, %v", len(processes), err)
	}
	for _, path := range processes {
		if args, err := os.ReadFile(path); err == nil && bytes.Contains(args, []byte(dir)) {
			t.Errorf("%s is left: %q", path, args)
		}
	}
}
