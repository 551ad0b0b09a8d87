//go:build linux

package containers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/netns"
)

// patience bounds every wait for the real engine.
const patience = 20 * time.Second

// A rig is a real engine and what the package makes of it.
type rig struct {
	*testing.T
	lab    *lab.Engine
	engine *Engine

	mu      sync.Mutex
	wakes   map[string]int
	resyncs int
	changed chan struct{} // has a token after a wake or resync
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, lab: labtest.Engine(t), wakes: map[string]int{}, changed: make(chan struct{}, 1)}
	engine, err := Open(t.Context(), Options{
		Socket: r.lab.Socket(), Resync: time.Hour,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.engine = engine
	t.Cleanup(func() { engine.Close() })
	return r
}

func (r *rig) docker(args ...string) string {
	r.Helper()
	out, err := r.lab.Docker(r.Context(), args...)
	if err != nil {
		r.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (r *rig) run(args ...string) (id string) {
	r.Helper()
	return r.docker(append([]string{"run", "--detach", "--init", "--network=none"}, args...)...)
}

func (r *rig) get(id string) Container {
	r.Helper()
	c, err := r.engine.Get(r.Context(), id)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// watch starts Watch, which ends with the test.
func (r *rig) watch() {
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan struct{})
	note := func(f func()) {
		r.mu.Lock()
		f()
		r.mu.Unlock()
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}
	go func() {
		defer close(done)
		r.engine.Watch(ctx,
			func(id string) { note(func() { r.wakes[id]++ }) },
			func() { note(func() { r.resyncs++ }) })
	}()
	r.Cleanup(func() { cancel(); <-done })
	r.await("the first resync", func() bool { return r.resyncs == 1 })
}

// await waits until ok, which is asked after every wake and resync.
func (r *rig) await(what string, ok func() bool) {
	r.Helper()
	limit := time.After(patience)
	for {
		r.mu.Lock()
		met := ok()
		r.mu.Unlock()
		if met {
			return
		}
		select {
		case <-r.changed:
		case <-limit:
			r.Fatalf("%s did not come within %s: %d resyncs, wakes %v", what, patience, r.resyncs, r.wakes)
		}
	}
}

// expectWake forgets the wakes so far, acts, and waits for a new one.
func (r *rig) expectWake(id, what string, act func()) {
	r.Helper()
	r.mu.Lock()
	delete(r.wakes, id)
	r.mu.Unlock()
	act()
	r.await("a wake after "+what, func() bool { return r.wakes[id] > 0 })
}

func TestDockerContainerLife(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.watch()
	if r.engine.Version() == "" {
		t.Error("no version")
	}
	id := r.docker("create", "--init", "--network=none", "--name=web", "--label=nicferry.network=lab", lab.ImageName)
	r.await("a wake after create", func() bool { return r.wakes[id] > 0 })
	if c := r.get(id); c.Running || c.PID != 0 || c.SandboxKey != "" || c.Name != "web" || c.NetworkMode != "none" ||
		c.Labels["nicferry.network"] != "lab" || c.Image != lab.ImageName || c.ID != id {
		t.Errorf("created: %+v", c)
	}
	if _, err := r.engine.Namespace(t.Context(), r.get(id)); !errors.Is(err, ErrGone) {
		t.Errorf("namespace of a created container: %v, want ErrGone", err)
	}

	r.expectWake(id, "start", func() { r.docker("start", "web") })
	first := r.get(id)
	if !first.Running || first.PID == 0 || first.SandboxKey == "" || time.Since(first.StartedAt) > time.Minute {
		t.Errorf("started: %+v", first)
	}
	ns, err := r.engine.Namespace(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if target, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", first.PID)); err != nil || target != ns.ID().String() {
		t.Errorf("got namespace %s, want %s, %v", ns.ID(), target, err)
	}

	r.expectWake(id, "restart", func() { r.docker("restart", "--time=1", "web") })
	second := r.get(id)
	if second.sameStart(first) || !second.Running {
		t.Errorf("restarted: %+v", second)
	}
	if _, err := r.engine.Namespace(t.Context(), first); !errors.Is(err, ErrGone) {
		t.Errorf("namespace of the former start: %v, want ErrGone", err)
	}
	r.expectWake(id, "rename", func() { r.docker("rename", "web", "shop") })
	if c := r.get(id); c.Name != "shop" || !c.sameStart(second) {
		t.Errorf("renamed: %+v", c)
	}
	r.docker("pause", "shop")
	if c := r.get(id); !c.sameStart(second) {
		t.Errorf("paused: %+v", c)
	}
	r.docker("unpause", "shop")
	r.expectWake(id, "kill", func() { r.docker("kill", "shop") })
	if c := r.get(id); c.Running || c.PID != 0 {
		t.Errorf("killed: %+v", c)
	}
	r.expectWake(id, "rm", func() { r.docker("rm", "shop") })
	if _, err := r.engine.Get(t.Context(), id); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed: %v, want ErrNotFound", err)
	}
}

func TestDockerListIsComplete(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	running := r.run("--name=running", "--label=a=b", lab.ImageName)
	exited := r.run("--name=exited", lab.ImageName, "true")
	created := r.docker("create", "--network=none", "--name=created", lab.ImageName)
	r.docker("wait", exited)
	all, err := r.engine.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Container{}
	for _, c := range all {
		got[c.ID] = c
	}
	if len(got) != 3 {
		t.Errorf("%d containers, want 3", len(got))
	}
	if c := got[running]; !c.Running || c.Name != "running" || c.Labels["a"] != "b" || c.NetworkMode != "none" || c.Image != lab.ImageName {
		t.Errorf("running: %+v", c)
	}
	if got[exited].Running || got[exited].Name != "exited" || got[created].Running || got[created].Name != "created" {
		t.Errorf("not running: %+v, %+v", got[exited], got[created])
	}
}

// Docker names the interfaces of its own networks.
func TestDockerNetworks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.docker("network", "create", "shop")
	t.Cleanup(func() { r.lab.Docker(context.WithoutCancel(t.Context()), "network", "rm", "shop") })
	none := r.run(lab.ImageName)
	running := r.docker("run", "--detach", "--init", "--network=shop", lab.ImageName)
	t.Cleanup(func() { r.lab.Docker(context.WithoutCancel(t.Context()), "rm", "--force", running) })
	created := r.docker("create", "--network=shop", lab.ImageName)
	without := r.docker("run", "--detach", "--init", lab.ImageName) // this engine has no default bridge
	for id, want := range map[string]bool{none: false, running: true, created: true, without: false} {
		c := r.get(id)
		if got := c.DockerNames("eth0"); got != want || c.DockerNames("eth1") {
			t.Errorf("network %s, running %t: eth0 is Docker's: %t, want %t; networks %q", c.NetworkMode, c.Running, got, want, c.DockerNetworks)
		}
	}
}

func TestDockerSharedNamespacesAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	own := r.run("--name=own", lab.ImageName)
	host := r.docker("run", "--detach", "--init", "--network=host", lab.ImageName)
	guest := r.docker("run", "--detach", "--init", "--network=container:own", lab.ImageName)
	for _, id := range []string{host, guest} {
		c := r.get(id)
		if !c.SharesNetwork() {
			t.Errorf("network %s counts as the container's own", c.NetworkMode)
		}
		if _, err := r.engine.Namespace(t.Context(), c); !errors.Is(err, ErrSharedNetwork) {
			t.Errorf("network %s: %v, want ErrSharedNetwork", c.NetworkMode, err)
		}
	}
	if c := r.get(own); c.SharesNetwork() {
		t.Errorf("%+v shares its network", c)
	}
	// Whatever the mode says: never the agent's own.
	c := r.get(host)
	c.NetworkMode = "none"
	if _, err := r.engine.Namespace(t.Context(), c); !errors.Is(err, ErrSharedNetwork) {
		t.Errorf("own namespace: %v, want ErrSharedNetwork", err)
	}
}

// F47: between the look at a container and the opening of its namespace its
// process ends, and the process id may be anybody's.
func TestF47_ContainerEndsWhileItsNamespaceIsOpened(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, act := range map[string]func(id string){
		"killed":    func(id string) { r.docker("kill", id) },
		"restarted": func(id string) { r.docker("restart", "--time=1", id) },
		"removed":   func(id string) { r.docker("rm", "--force", id) },
	} {
		id := r.run(lab.ImageName)
		c := r.get(id)
		r.engine.afterOpen = func() { act(id) }
		if ns, err := r.engine.Namespace(t.Context(), c); !errors.Is(err, ErrGone) {
			t.Errorf("%s: got %v, %v; want ErrGone", name, ns, err)
		}
		r.engine.afterOpen = func() {}
	}
}

// F47: the process id is another process's already when we look.
func TestF47_ReusedProcessIDFailsClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	victim := r.get(r.run(lab.ImageName))
	other := r.get(r.run(lab.ImageName))
	r.docker("kill", victim.ID)
	victim.PID = other.PID // as if the kernel had dealt it out again
	if ns, err := r.engine.Namespace(t.Context(), victim); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, %v; want ErrGone", ns, err)
	}
	victim.PID = os.Getpid()
	if ns, err := r.engine.Namespace(t.Context(), victim); !errors.Is(err, ErrGone) {
		t.Errorf("our own process: got %v, %v; want ErrGone", ns, err)
	}
}

// Without the engine's mount in sight, the process's namespace is as good.
func TestNamespaceByProcessID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.get(r.run(lab.ImageName))
	c.SandboxKey = "/run/elsewhere"
	ns, err := openNamespace(c)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	mounted, err := netns.Open(r.get(c.ID).SandboxKey)
	if err != nil {
		t.Fatal(err)
	}
	defer mounted.Close()
	if ns.ID() != mounted.ID() {
		t.Errorf("by process %s, by mount %s", ns.ID(), mounted.ID())
	}
}

// F44: the daemon dies and comes back; the watch is found again and says to
// look at everything.
func TestF44_DaemonRestarted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.run("--restart=always", lab.ImageName)
	r.watch()
	if err := r.lab.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.engine.Get(t.Context(), id); !errors.Is(err, ErrNoEngine) {
		t.Errorf("with the daemon dead: %v, want ErrNoEngine", err)
	}
	if _, err := r.engine.List(t.Context()); !errors.Is(err, ErrNoEngine) {
		t.Errorf("with the daemon dead: %v, want ErrNoEngine", err)
	}
	if err := r.lab.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.await("a resync", func() bool { return r.resyncs > 1 })
	if c := r.get(id); !c.Running {
		t.Errorf("restart=always after the daemon's restart: %+v", c)
	}
	r.expectWake(id, "restart", func() { r.docker("restart", "--time=1", id) })
}

// F43: 1,000 events as fast as the engine makes them, while the receiver does
// not return from its first wake: the last one is not missed, nothing is asked
// anew, and the receiver is not called 1,000 times.
func TestF43_BurstOfEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.docker("create", "--network=none", "--name=n0", lab.ImageName)
	r.watch()
	r.mu.Lock() // holds up the receiver
	client := r.engine.api.(*docker).client
	for n := range 1000 {
		if err := client.ContainerRename(t.Context(), id, fmt.Sprint("n", n+1)); err != nil {
			r.mu.Unlock()
			t.Fatal(err)
		}
	}
	r.mu.Unlock()
	last := r.docker("create", "--network=none", lab.ImageName)
	r.await("the last event", func() bool { return r.wakes[last] > 0 })
	if c := r.get(id); c.Name != "n1000" || r.wakes[id] == 0 || r.wakes[id] > 100 {
		t.Errorf("%d wakes, name %s; want some and n1000", r.wakes[id], c.Name)
	}
	if r.resyncs != 1 {
		t.Errorf("%d resyncs, want the first only", r.resyncs)
	}
}
