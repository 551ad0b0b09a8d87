//go:build linux

package sriov

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// demoTime bounds a run of the demo or of the checklist, of some three minutes where
// nothing else runs.
const demoTime = 10 * time.Minute

// labProgram prepares nicferry-lab, on a lab of its own, which must be gone in the end.
func labProgram(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	netnstest.RequireRoot(t)
	home, err := os.MkdirTemp("", labPrefix+"demo-")
	must(t, err)
	bin, dir := filepath.Join(home, "bin"), filepath.Join(home, "lab")
	t.Cleanup(func() {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the lab's folder is still there: %v", err)
		}
		must(t, errors.Join(cluster.Down(context.WithoutCancel(t.Context()), dir), os.RemoveAll(home)))
	})
	must(t, labtest.BuildForVMs(filepath.Join("..", ".."), bin))
	ctx, cancel := context.WithTimeout(t.Context(), demoTime)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "nicferry-lab"), append(args, "--dir", dir)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it cleans up
	cmd.WaitDelay = 2 * time.Minute
	return cmd
}

func TestDemoSRIOV(t *testing.T) {
	f, said, exit := labtest.Played(t, labProgram(t, "demo", "--sriov"))
	if exit != 0 || len(f.Left) > 0 {
		t.Fatalf("exit %d, left behind %q:\n%s", exit, f.Left, said)
	}
	t.Log(said)
	for _, fact := range f.Facts {
		if fact.Want == "14" && !strings.HasPrefix(fact.Value, "14 ") || fact.Want == "none" && fact.Value != "none" {
			t.Errorf("%s: %s, want %s", fact.What, fact.Value, fact.Want)
		}
	}
	if p := f.Pings["agent"]; p.Sent == 0 || p.Lost != 0 {
		t.Errorf("while the agent was dead: %s", p)
	}
	if p := f.Pings["cable"]; p.Received == 0 {
		t.Errorf("with a cable pulled: %s", p)
	}
}

// S0 is twelve lines, each of which holds.
func TestS0Checklist(t *testing.T) {
	cmd := labProgram(t, "s0")
	var said, progress strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &progress
	err := cmd.Run()
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if err != nil || len(lines) != 12 {
		t.Fatalf("%d lines, %v:\n%s\n%s", len(lines), err, said.String(), progress.String())
	}
	for _, line := range lines {
		if !strings.Contains(line, " ok ") || !strings.Contains(line, "   $ ") {
			t.Errorf("line is %q", line)
		}
	}
	t.Log(said.String())
}
