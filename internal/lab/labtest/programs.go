//go:build linux

package labtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

// build builds the programs, without C and with the tests' own tag weak, into a
// directory of their own. They stay in root/build too, so that who builds them next
// need not link anew what has not changed.
func build(root string) (dir string, err error) {
	mains, err := filepath.Glob(filepath.Join(root, "cmd", "*", "main.go"))
	if err != nil {
		return "", err
	}
	kept := filepath.Join(root, "build", "programs", "tags-"+tags)
	unlock, err := lockBuild(kept)
	if err != nil {
		return "", err
	}
	defer unlock()
	kept, err = filepath.Abs(kept)
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-tags="+tags, "-o", kept, "./cmd/...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	dir, err = os.MkdirTemp("", "nicferry-e2e-")
	if err != nil {
		return "", err
	}
	for _, main := range mains {
		name := filepath.Base(filepath.Dir(main))
		// Copied: whoever builds next may put others there while these run.
		if err := copyProgram(filepath.Join(dir, name), filepath.Join(kept, name)); err != nil {
			return "", errors.Join(fmt.Errorf("take program %s: %w", name, err), os.RemoveAll(dir))
		}
	}
	return dir, nil
}

func copyProgram(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
