package buildtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// root is the module's folder.
const root = "../.."

// run runs a command in the module's folder and returns what it printed and how
// it ended. It is not told of a make that this test runs under.
func run(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	out, err := command(t, env, name, args...).CombinedOutput()
	return string(out), err
}

// stdout is run without what the program says on the side, such as which
// modules it downloads.
func stdout(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	out, err := command(t, nil, name, args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return string(out), err
}

func command(t *testing.T, env []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = root
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains([]string{"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GO"}, name)
	}), env...)
	return cmd
}
