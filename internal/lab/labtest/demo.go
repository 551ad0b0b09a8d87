//go:build linux

package labtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/lab/story"
)

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
