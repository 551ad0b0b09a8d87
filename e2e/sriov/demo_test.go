//go:build linux

package sriov

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/labtest"
)

// demoTime bounds a run of the demo or of the checklist, of some three minutes where
// nothing else runs.
const demoTime = 10 * time.Minute

// labProgram prepares nicferry-lab, on a lab of its own, which must be gone in the end.
func labProgram(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd, _ := labtest.Demo{
		Prefix:   labPrefix + "demo-",
		Programs: func(dir string) (string, error) { return dir, labtest.BuildForVMs(filepath.Join("..", ".."), dir) },
		Down:     cluster.Down,
		Limit:    demoTime,
	}.Command(t, args...)
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
	labtest.Checklist(t, labProgram(t, "s0"), 12)
}
