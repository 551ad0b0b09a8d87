//go:build linux

package lab_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
	}
	goleak.VerifyTestMain(m)
}

// start makes a node that goes with the test.
func start(t *testing.T, opts lab.Options) *lab.Node {
	t.Helper()
	netnstest.RequireRoot(t)
	opts.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	begin := time.Now()
	n, err := lab.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("node ready after %s", time.Since(begin))
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func docker(t *testing.T, n *lab.Node, args ...string) string {
	t.Helper()
	out, err := n.Docker(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func run(t *testing.T, n *lab.Node, name string, args ...string) string {
	t.Helper()
	out, err := n.Run(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// A container gets, by hand, what nicferry will give it: the whole lab works.
func TestLab(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	n := start(t, lab.Options{})
	seg, err := n.Segment(ctx, lab.SegmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	image, err := n.Engine.Image(ctx)
	if err != nil {
		t.Fatal(err)
	}
	before, err := n.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}

	docker(t, n, "run", "--detach", "--init", "--network=none", "--name=web", image)
	pid := docker(t, n, "inspect", "--format={{.State.Pid}}", "web")
	key := docker(t, n, "inspect", "--format={{.NetworkSettings.SandboxKey}}", "web")
	if _, err := os.Stat(filepath.Join(n.Root(), key)); err != nil {
		t.Errorf("SandboxKey as the machine sees it: %v", err)
	}
	addr := plug(t, n, seg, pid)
	result, err := seg.Ping(ctx, addr, 10*time.Millisecond, 300*time.Millisecond)
	if err != nil || result.Sent != 30 || result.Received != 30 || result.Lost != 0 || result.Duration < 200*time.Millisecond {
		t.Errorf("ping: %s, %v; want 30 sent and received", result, err)
	}

	after, err := n.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	diff := strings.Join(lab.Diff(before, after), "\n")
	for _, want := range []string{"node links: +", `"br0"`, "node namespaces: +", "node processes: +", "node containers: +", "node bridge entries: +"} {
		if !strings.Contains(diff, want) {
			t.Errorf("no %q in the diff:\n%s", want, diff)
		}
	}
	docker(t, n, "rm", "--force", "web")
	run(t, n, "ip", "link", "delete", "br0")
	left, err := n.Leftovers(ctx, before, 30*time.Second)
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v\n%s", err, strings.Join(left, "\n"))
	}
	if err := seg.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := seg.Close(ctx); err != nil {
		t.Errorf("second close of the segment: %v", err)
	}
}

// plug gives the container with this process a NIC on the segment, and an
// address from the DHCP server.
func plug(t *testing.T, n *lab.Node, seg *lab.Segment, pid string) netip.Addr {
	t.Helper()
	for _, args := range [][]string{
		{"link", "add", "br0", "type", "bridge"},
		{"link", "set", "br0", "up"},
		{"link", "set", seg.Uplink(), "master", "br0"},
		{"link", "add", "veth0", "type", "veth", "peer", "name", "eth0", "netns", pid},
		{"link", "set", "veth0", "master", "br0", "up"},
	} {
		run(t, n, "ip", args...)
	}
	run(t, n, "nsenter", "--target", pid, "--net", "ip", "link", "set", "eth0", "up")
	run(t, n, "nsenter", "--target", pid, "--net", "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-s", "/bin/true")
	leases, err := seg.Leases()
	if err != nil || len(leases) != 1 {
		t.Fatalf("leases: %+v, %v; want one", leases, err)
	}
	if log, err := seg.DHCPLog(); err != nil || !strings.Contains(log, "DHCPACK(wire0) "+leases[0].Addr.String()) {
		t.Errorf("DHCP log: %v, %s; want an ACK of %s", err, log, leases[0].Addr)
	}
	run(t, n, "nsenter", "--target", pid, "--net", "ip", "addr", "add", leases[0].Addr.String()+"/24", "dev", "eth0")
	return leases[0].Addr
}

func TestPingCountsLosses(t *testing.T) {
	t.Parallel()
	n := start(t, lab.Options{NoEngine: true})
	seg, err := n.Segment(t.Context(), lab.SegmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nobody := netip.MustParseAddr("10.77.0.9")
	result, err := seg.Ping(t.Context(), nobody, 10*time.Millisecond, 50*time.Millisecond)
	if err != nil || result.Sent != 5 || result.Lost != 5 {
		t.Errorf("got %s, %v; want 5 sent and lost", result, err)
	}
}

func TestSnapshotIsStableAndShowsAPlantedVeth(t *testing.T) {
	t.Parallel()
	n := start(t, lab.Options{NoEngine: true})
	if _, err := n.Segment(t.Context(), lab.SegmentOptions{}); err != nil {
		t.Fatal(err)
	}
	take := func() lab.Snapshot {
		t.Helper()
		s, err := n.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := lab.Machine(t.Context(), n.Dir())
		if err != nil {
			t.Fatal(err)
		}
		for section, lines := range m {
			s[section] = lines
		}
		return s
	}
	first := take()
	if len(first["node links"]) != 2 || len(first["node processes"]) == 0 || len(first["machine links"]) == 0 || len(first["node routes"]) == 0 {
		t.Errorf("snapshot has gaps: %v", first)
	}
	if diff := lab.Diff(first, take()); len(diff) > 0 {
		t.Errorf("two snapshots of an idle machine differ:\n%s", strings.Join(diff, "\n"))
	}
	run(t, n, "ip", "link", "add", "planted", "type", "veth", "peer", "name", "planted1")
	diff := strings.Join(lab.Diff(first, take()), "\n")
	if strings.Count(diff, "node links: + ") != 2 || strings.Contains(diff, " - ") {
		t.Errorf("diff after planting a veth pair:\n%s", diff)
	}
}

func TestCloseEndsAllAndWorksTwice(t *testing.T) {
	t.Parallel()
	machine, err := lab.Machine(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, lab.Options{})
	image, err := n.Engine.Image(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	docker(t, n, "run", "--detach", "--network=none", image)
	p, err := n.Spawn(lab.Program{Name: "orphan", Args: []string{"setsid", "sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if err := p.Wait(t.Context()); err == nil {
		t.Error("a program in the node ended well, want it killed")
	}
	assertNothingLeft(t, machine, n.Dir())
	if _, err := n.Run(t.Context(), "true"); err == nil {
		t.Error("a closed node ran a program")
	}
	if _, err := n.Spawn(lab.Program{Name: "late", Args: []string{"true"}}); err == nil {
		t.Error("a closed node started a program")
	}
}

// assertNothingLeft looks for all that a node with this directory may leave.
func assertNothingLeft(t *testing.T, machine lab.Snapshot, dir string) {
	t.Helper()
	after, err := lab.Machine(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := lab.Diff(machine, after); len(diff) > 0 {
		t.Errorf("left on the machine:\n%s", strings.Join(diff, "\n"))
	}
	if groups := cgroups(t, dir); len(groups) > 0 {
		t.Errorf("left: %v", groups)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %s, %v", dir, err)
	}
}

func TestStartThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	parent := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := lab.Start(ctx, lab.Options{Dir: parent}); err == nil {
		t.Errorf("started %s with an ended context", n.Dir())
	}
	if names, err := os.ReadDir(parent); err != nil || len(names) > 0 {
		t.Errorf("left in the directory: %v, %v", names, err)
	}
}

// With live restore, what runs outlives the engine: the ground for tests of an
// agent that must not let go of a NIC meanwhile.
func TestLiveRestoreKeepsContainersRunning(t *testing.T) {
	t.Parallel()
	n := start(t, lab.Options{LiveRestore: true})
	image, err := n.Engine.Image(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	docker(t, n, "run", "--detach", "--init", "--network=none", "--name=web", image)
	pid := docker(t, n, "inspect", "--format={{.State.Pid}}", "web")
	dockerd := n.Engine.PID()
	if err := n.Engine.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, n, "test", "-e", "/proc/"+pid+"/ns/net")
	if err := n.Engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := docker(t, n, "inspect", "--format={{.State.Pid}}", "web"); again != pid {
		t.Errorf("the container's process is %s, was %s", again, pid)
	}
	if n.Engine.PID() == dockerd {
		t.Error("dockerd was not started anew")
	}
}
