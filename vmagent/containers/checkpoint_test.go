//go:build linux

package containers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/nic"
)

// What docker checkpoint lacks is found by looking at the engine, most basic first; and
// where it lacks nothing, the reason is another.
func TestNoCheckpoint(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.noCheckpoint("an engine as it comes", `dockerd runs without "experimental": true; and even then, `+cannotFreeze)

	path := t.TempDir() // of the daemon, which has all that it needs and no criu
	for _, program := range []string{"containerd", "containerd-shim-runc-v2", "runc", "docker-init"} {
		file, err := exec.LookPath(lab.Lookup(program))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(file, filepath.Join(path, program)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.lab.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.lab.Experimental, r.lab.Env = true, []string{"PATH=:" + path}
	if err := r.lab.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	criu := filepath.Join(path, "criu")
	r.noCheckpoint("no criu", "criu is in no folder of dockerd's PATH, :"+path+"; and even then, "+cannotFreeze)
	if err := os.Mkdir(criu, 0o755); err != nil {
		t.Fatal(err)
	}
	r.noCheckpoint("a folder called criu", "criu is in no folder of dockerd's PATH")
	if err := os.Remove(criu); err != nil {
		t.Fatal(err)
	}

	// So says CRIU 3.17.1, which is Debian 12's, on Linux 6.13 and later.
	const bounds = "Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds"
	for name, tt := range map[string]struct{ script, want string }{
		"an old criu on a new kernel": {
			"echo Warn >&2; echo '" + bounds + "' >&2; echo 'Error (criu/crtools.c:260): more' >&2; exit 1",
			"criu check, with the agent's rights, says: " + bounds + "; and even then, " + cannotFreeze,
		},
		"one that only warns, and fails": {"echo; echo 'You need to be root'; echo; exit 1", "says: You need to be root; and even then"},
		"one that says nothing":          {"exit 3", "says: exit status 3; and even then"},
		"one that says much":             {"printf '%05000d' 1; exit 1", "says: " + strings.Repeat("0", maxClip) + "…; and even then"},
		"one that is asked other things": {`[ "$1 $PATH" = "check :` + path + `" ] || exit 1`, cannotFreeze},
		"one that is well":               {"echo 'Looks good.'", cannotFreeze},
	} {
		r.program(criu, tt.script)
		if r.noCheckpoint(name, tt.want); t.Failed() {
			return
		}
	}
}

// noCheckpoint wants the survey to say so, in whole if it is a whole reason.
func (r *rig) noCheckpoint(name, want string) {
	r.Helper()
	n, err := r.engine.Survey(r.Context(), nic.Task{})
	if err != nil || !strings.Contains(n.NoCheckpoint, want) || strings.HasSuffix(want, cannotFreeze) && n.NoCheckpoint != want {
		r.Errorf("%s: got %q, %v\nwant %q", name, n.NoCheckpoint, err, want)
	}
}

// program makes a shell script.
func (r *rig) program(file, script string) {
	r.Helper()
	syscall.ForkLock.RLock() // no child has it open for writing, which is "text file busy"
	err := os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		r.Fatal(err)
	}
}
