//go:build linux

// Package netnstest gives each test a network namespace of its own, so that
// kernel code is tested on the kernel and never on the machine's network.
package netnstest

import (
	"os"
	"os/exec"
	"testing"

	"github.com/nicferry/nicferry/internal/netns"
)

// RequireRoot skips the test for a user who may not make namespaces, and fails
// it in CI, where a skip would hide that nothing was tested.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs root to make network namespaces")
	}
	t.Skip("needs root to make network namespaces")
}

// New makes a namespace with its loopback up, which goes with the test.
func New(t testing.TB) *netns.Namespace {
	t.Helper()
	RequireRoot(t)
	ns, err := netns.New()
	if err != nil {
		t.Fatalf("make network namespace: %v", err)
	}
	t.Cleanup(func() { ns.Close() })
	Run(t, ns, "ip", "link", "set", "lo", "up")
	return ns
}

// Run runs a command inside the namespace and returns what it prints. The test
// fails if the command does.
func Run(t testing.TB, ns *netns.Namespace, name string, args ...string) string {
	t.Helper()
	var out []byte
	err := ns.Do(func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%s %q in %s: %v\n%s", name, args, ns.ID(), err, out)
	}
	return string(out)
}
