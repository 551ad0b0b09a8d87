//go:build linux

package labtest

import (
	"fmt"
	"os"
	"os/exec"
)

// WithPrograms returns a runner that builds all of nicferry's programs out of
// the module at root, says in dir where they are, and has m run its tests.
//
//	func TestMain(m *testing.M) { os.Exit(labtest.WithPrograms(m, "..", &bin).Run()) }
func WithPrograms(m Runner, root string, dir *string) Runner { return withPrograms{m, root, dir} }

type withPrograms struct {
	tests Runner
	root  string
	dir   *string
}

// Run builds the programs, runs the tests, and takes the programs away.
func (w withPrograms) Run() int {
	dir, err := build(w.root)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	*w.dir = dir
	return w.tests.Run()
}

// build builds the programs, without C and with the tests' own tag weak, into a directory of their own.
func build(root string) (dir string, err error) {
	dir, err = os.MkdirTemp("", "nicferry-e2e-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-tags="+tags, "-o", dir, "./cmd/...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir) // the build's error says more
		return "", fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, nil
}
