package buildtest

import (
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
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = root
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains([]string{"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GO"}, name)
	}), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
