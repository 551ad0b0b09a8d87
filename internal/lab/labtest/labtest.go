//go:build linux

// Package labtest runs the tests of a package inside a lab node, where they may
// start engines and open the network namespaces of containers.
package labtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// insideDir tells a test process that it is inside a node, and the node's
// directory.
const insideDir = "NICFERRY_LABTEST_DIR"

// Runner runs tests; *testing.M is one.
type Runner interface{ Run() int }

// Inside returns a runner that starts a node and has m's tests run by a copy of
// this process inside it. Without root it runs m as it is, for the tests to
// skip or fail by themselves.
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(labtest.Inside(m)) }
func Inside(m Runner) Runner { return inside{m} }

type inside struct{ tests Runner }

// Run starts the node, or the tests if it is there.
func (i inside) Run() int {
	if os.Geteuid() != 0 || os.Getenv(insideDir) != "" {
		return i.tests.Run()
	}
	code, err := rerun()
	if err != nil {
		fmt.Fprintln(os.Stderr, "run tests inside a lab node:", err)
		return 1
	}
	return code
}

// rerun runs this process again inside a node and returns its exit status.
func rerun() (code int, err error) {
	ctx := context.Background()
	node, err := lab.Start(ctx, lab.Options{NoEngine: true})
	if err != nil {
		return 0, err
	}
	defer func() {
		if closeErr := node.Close(); closeErr != nil && err == nil {
			err = closeErr
		}
	}()
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := node.Command(ctx, self, os.Args[1:]...)
	cmd.Env = append(cmd.Env, insideDir+"="+node.Dir())
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// Engine starts an engine of the test's own, with the lab's image, and stops it
// with the test. The package's TestMain must use Inside.
func Engine(t testing.TB) *lab.Engine {
	t.Helper()
	netnstest.RequireRoot(t)
	dir := os.Getenv(insideDir)
	if dir == "" {
		t.Fatal("TestMain does not use labtest.Inside")
	}
	own, err := os.MkdirTemp(dir, "engine-")
	if err != nil {
		t.Fatal(err)
	}
	engine := lab.NewEngine(own, filepath.Base(own), filepath.Base(dir))
	t.Cleanup(func() {
		// Its containers end with the node.
		if err := engine.Kill(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Image(t.Context()); err != nil {
		t.Fatal(err)
	}
	return engine
}
