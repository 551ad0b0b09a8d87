//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/nic"
	"github.com/rogpeppe/go-internal/testscript"
)

// A command is a verb of the scripts. What it returns is the script's stdout.
type command func(r *rig, ctx context.Context, args ...string) (string, error)

// onRig makes a script command of a verb: it fails the script if the verb
// fails, or with "!" if it does not.
func onRig(verb command) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		out, err := verb(ts.Value("rig").(*rig), ctx, args...)
		fmt.Fprint(ts.Stdout(), out)
		if err != nil {
			fmt.Fprintln(ts.Stderr(), err)
		}
		if neg && err == nil {
			ts.Fatalf("it worked, and should not have")
		}
		if !neg {
			ts.Check(err)
		}
	}
}

// await REGEXP VERB ARG… repeats a verb until it works and prints a match;
// with "!" until it fails or prints none.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: await REGEXP VERB ARG…")
	}
	verbs := map[string]command{
		"docker": (*rig).docker, "compose": (*rig).compose, "nicferry": (*rig).nicferry, "audit": (*rig).audit, "node": (*rig).onNode, "lan": (*rig).onLAN, "leases": (*rig).leases, "log": (*rig).log,
	}
	verb, ok := verbs[args[1]]
	if !ok {
		ts.Fatalf("await does not know %q", args[1])
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(deadline); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		out, err := verb(ts.Value("rig").(*rig), ctx, args[2:]...)
		cancel()
		if matches := err == nil && want.MatchString(out); matches != neg {
			fmt.Fprint(ts.Stdout(), out)
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("after %s it still prints:\n%s\n%v", deadline, out, err)
		}
	}
}

func (r *rig) docker(ctx context.Context, args ...string) (string, error) {
	return r.node.Docker(ctx, args...)
}

func (r *rig) nicferry(ctx context.Context, args ...string) (string, error) {
	return r.node.Run(ctx, filepath.Join(bin, "nicferry"), append([]string{"--server", "unix://" + r.file("nicferryd.sock")}, args...)...)
}

func (r *rig) onNode(ctx context.Context, args ...string) (string, error) {
	return r.node.Run(ctx, args[0], args[1:]...)
}

func (r *rig) onLAN(ctx context.Context, args ...string) (string, error) {
	return r.lan.Run(ctx, args[0], args[1:]...)
}

// stray start NAME leaves a process behind in a container's network namespace,
// which is none of the container's own; stray end ends it.
func (r *rig) stray(ctx context.Context, args ...string) (string, error) {
	if args[0] == "end" {
		return r.kill(ctx, "stray")
	}
	pid, err := r.docker(ctx, "inspect", "--format", "{{.State.Pid}}", args[1])
	if err != nil {
		return "", err
	}
	return "", r.programs.Start(lab.Program{
		Name: "stray", Args: []string{"nsenter", "--target", strings.TrimSpace(pid), "--net", "sleep", "60"},
	})
}

// routerAdvertisements has a second dnsmasq on the LAN advertise the prefix
// fd77::/64 for SLAAC, and give addresses of it by DHCPv6.
func (r *rig) routerAdvertisements(context.Context, ...string) (string, error) {
	return "", r.programs.Start(lab.Program{Name: "ra", Args: []string{
		"ip", "netns", "exec", "lan", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--group=root",
		"--port=0", "--interface=wire0", "--bind-interfaces", "--except-interface=lo", "--enable-ra",
		"--dhcp-range=fd77::1000,fd77::1fff,slaac,64,120",
		"--dhcp-leasefile=" + r.file("leases6"), "--pid-file=" + r.file("ra.pid"),
	}})
}

// peak NAME MIB demands that a daemon has never had more memory than that.
func (r *rig) peak(_ context.Context, args ...string) (string, error) {
	most, err := strconv.Atoi(args[1])
	if err != nil {
		return "", err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.programs.Process(args[0]).PID()))
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		return "", fmt.Errorf("no VmHWM in the status of %s", args[0])
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err == nil && kib > most<<10 {
		err = fmt.Errorf("%s has had %d MiB, want at most %d", args[0], kib>>10, most)
	}
	return fmt.Sprintf("%d MiB\n", kib>>10), err
}

// runContainer NAME LABEL… starts a container without a Docker network.
func (r *rig) runContainer(ctx context.Context, args ...string) (string, error) {
	cmd := []string{"run", "-d", "--init", "--network", "none", "--name", args[0]}
	for _, label := range args[1:] {
		cmd = append(cmd, "--label", label)
	}
	return r.docker(ctx, append(cmd, lab.ImageName)...)
}

// daemon start|crash|stop|freeze|thaw NAME acts on controller, agent, or a
// second agent; daemon ended NAME CODE waits until one has ended by itself.
func (r *rig) daemon(ctx context.Context, args ...string) (string, error) {
	if len(args) == 3 && args[0] == "ended" {
		code, err := strconv.Atoi(args[2])
		if err != nil {
			return "", err
		}
		return "", r.programs.Ended(ctx, args[1], code)
	}
	if len(args) == 2 {
		switch args[0] {
		case "start":
			return r.start(ctx, args[1])
		case "crash":
			return r.kill(ctx, args[1])
		case "stop":
			return r.stop(ctx, args[1])
		case "freeze":
			return "", r.programs.Signal(args[1], syscall.SIGSTOP)
		case "thaw":
			return "", r.programs.Signal(args[1], syscall.SIGCONT)
		}
	}
	return "", fmt.Errorf("daemon %q: want start, crash, stop, freeze or thaw, and a name", args)
}

// engine start|stop|kill acts on dockerd.
func (r *rig) engine(ctx context.Context, args ...string) (string, error) {
	switch strings.Join(args, " ") {
	case "start":
		return "", r.node.Engine.Start(ctx)
	case "stop":
		return "", r.node.Engine.Stop(ctx)
	case "kill":
		return "", r.node.Engine.Kill(ctx)
	}
	return "", fmt.Errorf("engine %q: want start, stop or kill", args)
}

// events N has the engine send N events, by tagging its image again and again.
func (r *rig) events(ctx context.Context, args ...string) (string, error) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.node.Engine.Socket())
	}}
	defer transport.CloseIdleConnections()
	todo, failed := make(chan int), make(chan error, 4)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range todo {
				req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://engine/images/"+lab.ImageName+"/tag?repo=nicferry-lab/events&tag=x", nil)
				resp, err := transport.RoundTrip(req)
				if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusCreated {
					failed <- fmt.Errorf("tag: %v", errors.Join(err, ctx.Err()))
					return
				}
			}
		})
	}
	for i := range n {
		select {
		case todo <- i:
		case err := <-failed:
			close(todo)
			return "", err
		}
	}
	close(todo)
	wg.Wait()
	return "", nil
}

// start controller|agent, or another agent under a name of its own.
func (r *rig) start(_ context.Context, args ...string) (string, error) {
	program, config := "nicferry-agent", "agent.yaml"
	if args[0] == "controller" {
		program, config = "nicferryd", "nicferryd.yaml"
	}
	return "", r.programs.Start(lab.Program{
		Name: args[0], Args: []string{filepath.Join(bin, program), "--config", r.file(config)},
	})
}

// kill ends a daemon with SIGKILL.
func (r *rig) kill(ctx context.Context, args ...string) (string, error) {
	return "", r.programs.Kill(ctx, args[0])
}

// stop ends a daemon in good order, if it runs.
func (r *rig) stop(ctx context.Context, args ...string) (string, error) {
	return "", r.programs.Stop(ctx, args[0])
}

// startPing NAME ADDR SECONDS pings from the LAN every 10 ms in the background.
func (r *rig) startPing(_ context.Context, args ...string) (string, error) {
	addr, err := netip.ParseAddr(args[1])
	duration, err2 := time.ParseDuration(args[2] + "s")
	if err := errors.Join(err, err2); err != nil {
		return "", err
	}
	done := make(chan pinged, 1)
	r.pings[args[0]] = done
	go func() {
		result, err := r.lan.Ping(context.Background(), addr, 10*time.Millisecond, duration)
		done <- pinged{result, err}
	}()
	return "", nil
}

// endPing NAME waits for the ping's end; any loss is an error.
func (r *rig) endPing(ctx context.Context, args ...string) (string, error) {
	select {
	case got := <-r.pings[args[0]]:
		if got.err == nil && got.result.Lost > 0 {
			got.err = errors.New("packets were lost")
		}
		return got.result.String() + "\n", got.err
	case <-ctx.Done():
		return "", fmt.Errorf("wait for the ping of %s: %w", args[0], ctx.Err())
	}
}

// leases prints what the LAN's DHCP server has on record: address, MAC and
// client id.
func (r *rig) leases(context.Context, ...string) (string, error) {
	leases, err := r.lan.Leases()
	var b strings.Builder
	for _, l := range leases {
		fmt.Fprintln(&b, l.Addr, l.MAC, l.ClientID)
	}
	return b.String(), err
}

// dhcpOptions OPTION… has the LAN's DHCP server give these options from now on.
func (r *rig) dhcpOptions(ctx context.Context, args ...string) (string, error) {
	return "", r.lan.SetDHCPOptions(ctx, args...)
}

// dhcp stop|start acts on the LAN's DHCP server. It knows its leases again.
func (r *rig) dhcp(ctx context.Context, args ...string) (string, error) {
	switch strings.Join(args, " ") {
	case "stop":
		return "", r.lan.StopDHCP(ctx)
	case "start":
		return "", r.lan.StartDHCP(ctx)
	}
	return "", fmt.Errorf("dhcp %q: want stop or start", args)
}

// log NAME prints a daemon's log.
func (r *rig) log(_ context.Context, args ...string) (string, error) {
	text, err := os.ReadFile(r.file(args[0] + ".log"))
	return string(text), err
}

func rangeOf(first, last string) nic.Range {
	return nic.Range{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
}

// writeConfigs writes the configs of both daemons into the node's directory:
// those of testdata, or the examples with their paths moved there.
func (r *rig) writeConfigs(workDir string) error {
	from, paths := "testdata", []string{"$DIR", r.node.Dir()}
	if _, err := os.Stat(filepath.Join(workDir, "examples")); err == nil {
		from = filepath.Join("..", "examples")
		paths = []string{
			"#controllers:\n#  - unix:///run/nicferry/", "controllers:\n  - unix://" + r.node.Dir() + "/",
			"/run/nicferry/agent", r.file("agent"),
			"/run/nicferry", r.node.Dir(),
			"/var/lib/nicferry", r.file("state"),
			"/var/run/docker.sock", r.file("docker.sock"),
		}
	}
	for _, name := range []string{"nicferryd.yaml", "agent.yaml"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		moved := strings.NewReplacer(paths...).Replace(string(text))
		if err := os.WriteFile(r.file(name), []byte(moved), 0o600); err != nil {
			return err
		}
	}
	return nil
}
