//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// A process that is a stage of a confinement ends here.
func init() { stage() }

// The account that stands in for nicferry's, and its group.
const (
	nobody  = "65534"
	nogroup = 65534
)

// A serviceRig is a rig whose daemons run as their units say, and the agent's
// engine is behind a proxy.
type serviceRig struct {
	*rig
	proxy *dockerProxy
	self  string // this program, where everybody may execute it
	heard []manager
}

func newServiceRig(t *testing.T) *serviceRig {
	t.Helper()
	netnstest.RequireRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	r := &serviceRig{rig: &rig{pings: map[string]chan pinged{}}}
	t.Cleanup(func() {
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if r.proxy != nil {
			r.proxy.close(t)
		}
		for _, m := range r.heard {
			m.conn.Close()
		}
	})
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	r.node, err = lab.Start(ctx, lab.Options{})
	ok(err)
	r.programs = r.node.Daemons()
	_, err = r.node.Engine.Image(ctx)
	ok(err)
	r.lan, err = r.node.Segment(ctx, lab.SegmentOptions{})
	ok(err)
	// On a machine that systemd started all mounts are shared.
	_, err = r.node.Run(ctx, "mount", "--make-rshared", "/")
	ok(err)
	r.proxy = newDockerProxy(t, r.node.Dir(), r.node.Engine.Socket())
	ok(r.layOut())
	r.before, err = r.node.Snapshot(ctx)
	ok(err)
	return r
}

// layOut makes the directories that systemd would have made, and the configs.
func (r *serviceRig) layOut() error {
	agent, err := os.ReadFile(filepath.Join("testdata", "agent.yaml"))
	if err != nil {
		return err
	}
	controller, err := os.ReadFile(filepath.Join("testdata", "nicferryd.yaml"))
	if err != nil {
		return err
	}
	paths := strings.NewReplacer(
		"$DIR/docker.sock", r.proxy.socket, "$DIR/nicferryd.sock", r.file("run/nicferryd.sock"),
		"$DIR/agent", r.file("run/agent"), "$DIR/nicferry.db", r.file("state/nicferry.db"),
		"socketGroup: root", "socketGroup: nogroup",
	)
	r.self = r.file("bin/self")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Without the right to override, the machine's own umask and 0700 count.
	return errors.Join(
		os.Chmod(r.node.Dir(), 0o711),
		makeDir(r.file("run"), 0o1775, 0, nogroup), makeDir(r.file("run/agent"), 0o700, 0, 0),
		makeDir(r.file("state"), 0o700, nogroup, nogroup), makeDir(r.file("bin"), 0o755, 0, 0),
		copyFile(self, r.self), copyFile(filepath.Join(bin, "nicferryd"), r.file("bin/nicferryd")),
		writeFor(r.file("agent.yaml"), paths.Replace(string(agent)), 0),
		writeFor(r.file("nicferryd.yaml"), paths.Replace(string(controller)), nogroup),
		os.Symlink("run/nicferryd.sock", r.file("nicferryd.sock")),
	)
}

func makeDir(path string, mode uint32, uid, gid int) error {
	return errors.Join(os.Mkdir(path, 0o700), os.Chown(path, uid, gid), syscall.Chmod(path, mode))
}

func writeFor(path, text string, uid int) error {
	return errors.Join(os.WriteFile(path, []byte(text), 0o400), os.Chown(path, uid, -1))
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, os.Chmod(to, 0o755), out.Close())
}

// agent is the confinement that the agent's unit asks for.
func (r *serviceRig) agent(t *testing.T) confinement {
	t.Helper()
	u, err := readUnit("nicferry-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	containers := r.file("docker/containers") // /var/lib/docker/containers of this engine
	got := u.one("Service.ReadWritePaths") + " " + u.one("Service.RuntimeDirectory") + " " + u.one("Service.StateDirectory")
	if got != "-/var/lib/docker/containers nicferry/agent nicferry/agent" { // it has not joined: no state
		t.Fatalf("the unit lets the agent write to %s; change this test too", got)
	}
	c, err := u.confine([]string{r.file("run/agent"), containers}, []string{"--groups=" + nobody},
		filepath.Join(bin, "nicferry-agent"), "--config", r.file("agent.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *serviceRig) startAgent(t *testing.T, c confinement) manager {
	t.Helper()
	return r.startService(t, "agent", c)
}

func (r *serviceRig) startController(t *testing.T) manager {
	t.Helper()
	u, err := readUnit("nicferryd.service")
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{"--reuid=" + nobody, "--regid=" + nobody, "--clear-groups"}
	c, err := u.confine([]string{r.file("run"), r.file("state")}, ids, r.file("bin/nicferryd"), "--config", r.file("nicferryd.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return r.startService(t, "controller", c)
}

// startService starts a service and waits until it says that it is ready.
func (r *serviceRig) startService(t *testing.T, name string, c confinement) manager {
	t.Helper()
	m, err := r.spawnService(t, name, c)
	if err != nil {
		t.Fatal(err)
	}
	if !m.hears("READY=1", deadline) {
		text, _ := os.ReadFile(r.file(name + ".log"))
		t.Fatalf("%s did not become ready:\n%s", name, text)
	}
	return m
}

// spawnService starts a service. The error is that it ended at once, with the
// end of its log.
func (r *serviceRig) spawnService(t *testing.T, name string, c confinement) (manager, error) {
	t.Helper()
	m := newManager(t, r.file(name+".notify"))
	r.heard = append(r.heard, m)
	args, env, err := c.command(r.self)
	if err != nil {
		t.Fatal(err)
	}
	env = append(env, "NOTIFY_SOCKET="+m.path, fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds()))
	return m, r.programs.Start(lab.Program{Name: name, Args: args, Env: env})
}

// watchdog is shorter than a unit's, as a test has less time.
const watchdog = time.Second

// A manager hears what a service manager hears.
type manager struct {
	path string
	conn *net.UnixConn
}

func newManager(t *testing.T, path string) manager {
	t.Helper()
	_ = os.Remove(path) // of the service's last start
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil { // systemd's own is so, too
		t.Fatal(err)
	}
	return manager{path, conn}
}

// hears waits for a message that has the word as a line.
func (m manager) hears(word string, within time.Duration) bool {
	buf := make([]byte, 4096)
	_ = m.conn.SetReadDeadline(time.Now().Add(within))
	for {
		n, err := m.conn.Read(buf)
		if err != nil {
			return false
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), word) {
			return true
		}
	}
}

// forgetAll drops what was told until now.
func (m manager) forgetAll() {
	for m.hears("", time.Millisecond) {
	}
}

// do carries out a verb that must work.
func (r *serviceRig) do(t *testing.T, what string, verb func(context.Context, ...string) (string, error), args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	out, err := verb(ctx, args...)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return out
}

// until waits for a verb to print a match.
func (r *serviceRig) until(t *testing.T, pattern string, verb func(context.Context, ...string) (string, error), args ...string) {
	t.Helper()
	want := regexp.MustCompile("(?m)" + pattern)
	for end := time.Now().Add(deadline); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		out, err := verb(ctx, args...)
		cancel()
		if err == nil && want.MatchString(out) {
			return
		}
		if time.Now().After(end) {
			text, _ := r.log(t.Context(), "agent")
			t.Fatalf("after %s %q prints no %s:\n%s%v\nagent's log:\n%s", deadline, args, pattern, out, err, text)
		}
	}
}

// bound waits until the container's claim is, and it has its eth0.
func (r *serviceRig) bound(t *testing.T, container string) {
	t.Helper()
	r.until(t, `\b`+container+`\s.*\bbound\b`, r.nicferry, "get", "claims")
	r.until(t, `inet .* eth0`, r.docker, "exec", container, "ip", "-o", "-4", "addr", "show", "eth0")
}

// S18: the daemons do all their work as their units let them, and every
// capability of the agent's is needed.
func TestS18_PrivilegesAreEnoughAndNeeded(t *testing.T) {
	t.Parallel()
	r := newServiceRig(t)
	controller := r.startController(t)
	whole := r.agent(t)
	agent := r.startAgent(t, whole)

	t.Run("enough", func(t *testing.T) {
		r.do(t, "run", r.runContainer, "web", "nicferry.network=lab")
		r.do(t, "run", r.runContainer, "db", "nicferry.network=fixed", "nicferry.ip=10.77.1.20,fd77::20")
		r.bound(t, "web")
		r.bound(t, "db")
		r.do(t, "restart", r.docker, "restart", "-t", "0", "web", "db")
		r.bound(t, "web")
		r.bound(t, "db")
		r.do(t, "ping", r.onLAN, "ping", "-c1", "-W5", "10.77.1.20")
	})
	t.Run("no more", func(t *testing.T) { r.heldTo(t, whole) })
	t.Run("mounts reach the agent", r.mountsReach)
	t.Run("signs of life", func(t *testing.T) {
		for name, m := range map[string]manager{"agent": agent, "controller": controller} {
			r.signsOfLife(t, name, m)
		}
	})
	t.Run("comes back", func(t *testing.T) {
		r.do(t, "stop", r.stop, "agent")
		if !agent.hears("STOPPING=1", deadline) {
			t.Error("the agent did not say that it stops")
		}
		r.startAgent(t, whole)
		r.bound(t, "web")
		r.do(t, "rm", r.docker, "rm", "-f", "web", "db")
		r.until(t, `\A(CLAIM.*\n)?\z`, r.nicferry, "get", "claims")
	})
	r.do(t, "stop", r.stop, "agent")
	for _, name := range slices.Sorted(slices.Values(strings.Split(r.bounding(whole), ",+")[1:])) {
		t.Run("without "+name, func(t *testing.T) { r.without(t, whole, name) })
	}
	r.startAgent(t, whole) // to take everything away
}

// bounding is the argument that says which capabilities there are.
func (r *serviceRig) bounding(c confinement) string {
	i := slices.IndexFunc(c.Set, func(s string) bool { return strings.HasPrefix(s, "--bounding-set=") })
	return c.Set[i]
}

// heldTo checks that the confinement is in force, rather than ignored.
func (r *serviceRig) heldTo(t *testing.T, c confinement) {
	for name, want := range map[string]int{"agent": strings.Count(r.bounding(c), "+"), "controller": 0} {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.programs.Process(name).PID()))
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]string{}
		for line := range strings.Lines(string(status)) {
			key, value, _ := strings.Cut(line, ":")
			fields[key] = strings.TrimSpace(value)
		}
		for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
			var bits uint64
			fmt.Sscanf(fields[set], "%x", &bits)
			count := 0
			for ; bits != 0; bits &= bits - 1 {
				count++
			}
			if count != want {
				t.Errorf("%s: %s is %s, want %d capabilities", name, set, fields[set], want)
			}
		}
		if fields["NoNewPrivs"] != "1" || fields["Seccomp"] != "2" {
			t.Errorf("%s: NoNewPrivs %s, Seccomp %s; want 1 and 2", name, fields["NoNewPrivs"], fields["Seccomp"])
		}
		if want := map[string]string{"agent": "0", "controller": nobody}[name]; strings.Fields(fields["Uid"])[1] != want {
			t.Errorf("%s: runs as user %s, want %s", name, fields["Uid"], want)
		}
		// The fourth field on of mountinfo is: root, mount point, options.
		mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", r.programs.Process(name).PID()))
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`(?m)^\S+ \S+ \S+ \S+ / ro\b`).Match(mounts) {
			t.Errorf("%s: / is not read-only", name)
		}
	}
}

// mountsReach checks that Docker's mounts of namespaces come through into the
// agent's own mount namespace, also those made later.
func (r *serviceRig) mountsReach(t *testing.T) {
	key := strings.TrimSpace(r.do(t, "inspect", r.docker, "inspect", "-f", "{{.NetworkSettings.SandboxKey}}", "web"))
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", r.programs.Process("agent").PID()))
	if err != nil {
		t.Fatal(err)
	}
	if key == "" || !strings.Contains(string(mounts), " "+strings.TrimPrefix(key, "/var")+" ") {
		t.Errorf("%q is not mounted where the agent could see it:\n%s", key, mounts)
	}
}

// signsOfLife checks that they come, and not from a process that hangs.
func (r *serviceRig) signsOfLife(t *testing.T, name string, m manager) {
	t.Helper()
	for range 3 { // in time, where the machine is not too busy; internal/daemon has how often
		if !m.hears("WATCHDOG=1", deadline) {
			t.Fatalf("%s: no sign of life within %s", name, deadline)
		}
	}
	if err := r.programs.Signal(name, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m.forgetAll()
	if m.hears("WATCHDOG=1", watchdog) {
		t.Errorf("%s: a sign of life from a stopped process", name)
	}
	if err := r.programs.Signal(name, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if !m.hears("WATCHDOG=1", deadline) {
		t.Errorf("%s: no sign of life after it went on", name)
	}
}

// without runs the agent without one of its capabilities, and wants it to fail
// at what the unit's comment says.
func (r *serviceRig) without(t *testing.T, whole confinement, name string) {
	less := whole
	less.Set = slices.Clone(whole.Set)
	less.Set[slices.Index(less.Set, r.bounding(whole))] = strings.Replace(r.bounding(whole), ",+"+name, "", 1)
	defer r.do(t, "rm", r.docker, "rm", "-f", "probe")
	if name == "sys_ptrace" {
		r.forgottenWithout(t, whole, less)
		return
	}
	if err := os.Truncate(r.file("agent.log"), 0); err != nil {
		t.Fatal(err)
	}
	r.do(t, "run", r.runContainer, "probe", "nicferry.network=lab")
	if _, err := r.spawnService(t, "agent", less); err == nil {
		defer r.do(t, "kill", r.kill, "agent")
	} else {
		t.Logf("the agent ended before it was seen to run: %v", err) // its log says why
	}
	r.until(t, `(operation not permitted|permission denied)`, func(ctx context.Context, _ ...string) (string, error) {
		said, err := r.log(ctx, "agent")
		shown, _ := r.nicferry(ctx, "describe", "claims", "probe") // there may be none yet
		return said + shown, err
	})
	if out := r.do(t, "get", r.nicferry, "get", "claims"); strings.Contains(out, "bound") {
		t.Errorf("the claim is bound without it:\n%s", out)
	}
}

// forgottenWithout holds what the agent knows of a container that the engine has
// forgotten against what it knows without the right to look at processes: then
// it cannot tell the living from the dead, and must take nothing back.
func (r *serviceRig) forgottenWithout(t *testing.T, whole, less confinement) {
	for _, c := range []confinement{whole, less} {
		if err := os.Truncate(r.file("agent.log"), 0); err != nil {
			t.Fatal(err)
		}
		r.startAgent(t, c)
		r.do(t, "run", r.runContainer, "probe", "nicferry.network=lab")
		r.bound(t, "probe")
		stays := r.staysWhenForgotten(t)
		said := r.do(t, "log", r.log, "agent")
		r.do(t, "kill", r.kill, "agent")
		r.do(t, "rm", r.docker, "rm", "-f", "probe")
		knows := strings.Contains(said, "but its process") && !strings.Contains(said, "permission denied")
		if !stays || knows != (r.bounding(c) == r.bounding(whole)) {
			t.Errorf("with %s: its claim stays: %t; the agent says:\n%s", r.bounding(c), stays, said)
		}
	}
	r.do(t, "run", r.runContainer, "probe") // for the caller to remove
}

// staysWhenForgotten has the engine forget its containers until the agent has
// looked at the one there is, and tells if it still has its NIC.
func (r *serviceRig) staysWhenForgotten(t *testing.T) bool {
	t.Helper()
	r.proxy.setForgets(true)
	defer r.proxy.setForgets(false)
	looked := false
	looks := 20 // of ours, after the agent's
	for end := time.Now().Add(deadline); looks > 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if looked = looked || strings.Contains(r.do(t, "log", r.log, "agent"), "the engine does not know it"); looked {
			looks--
		}
		if out := r.do(t, "get", r.nicferry, "get", "claims"); !strings.Contains(out, "bound") {
			return false
		}
	}
	return true
}
