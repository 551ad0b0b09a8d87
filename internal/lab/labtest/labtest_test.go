//go:build linux

package labtest_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/labtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(labtest.Inside(m)) }

// The test sees a container's process and namespace by the names that the
// engine calls them by, and the container survives the engine's end or not.
func TestEngineIsInTheTestsNamespaces(t *testing.T) {
	engine := labtest.Engine(t)
	docker := func(args ...string) string {
		t.Helper()
		out, err := engine.Docker(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	docker("run", "--detach", "--init", "--network=none", "--name=web", "--restart=always", lab.ImageName)
	pid := docker("inspect", "--format={{.State.Pid}}", "web")
	key := docker("inspect", "--format={{.NetworkSettings.SandboxKey}}", "web")
	a, err := os.Stat("/proc/" + pid + "/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.Stat(key)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(a, b) {
		t.Errorf("/proc/%s/ns/net and %s differ", pid, key)
	}

	if err := engine.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Docker(t.Context(), "ps"); err == nil {
		t.Error("a stopped engine answers")
	}
	if err := engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := docker("inspect", "--format={{.State.Pid}}", "web"); again == pid || again == "0" {
		t.Errorf("process of the container is %s after it was %s, want another", again, pid)
	}
}
