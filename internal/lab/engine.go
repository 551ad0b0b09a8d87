//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// readyTime bounds how long dockerd's first answer is waited for. Mostly it
// takes 0.2 s.
const readyTime = 60 * time.Second

// maxSocketPath is sun_path of unix(7) without its final zero.
const maxSocketPath = 107

// An Engine is a private dockerd. It makes no networks, touches no firewall
// and keeps its files away from any other engine's.
type Engine struct {
	// Dir is where its data and its socket are. Required.
	Dir string
	// Name is that of its files in Dir and in /run, such as NAME.sock and
	// NAME.log. Required, unlike that of other engines of the node.
	Name string
	// CgroupParent is below which control group its containers are. Required.
	CgroupParent string
	// LiveRestore keeps containers running while it is down. Optional.
	LiveRestore bool
	// Experimental has it do what it calls so. Optional.
	Experimental bool
	// Env is added to its environment, as "KEY=value". Optional.
	Env []string

	spawn   func(Program) (*Process, error)
	process *Process
}

// NewEngine prepares an engine in the namespaces of the calling process, which
// must be inside a node. Nothing runs until Start.
func NewEngine(dir, name, cgroupParent string) *Engine {
	e := &Engine{Dir: dir, Name: name, CgroupParent: cgroupParent}
	e.spawn = func(p Program) (*Process, error) {
		return spawn(dir, p, outside(context.Background(), p.Args[0], p.Args[1:]...), itself)
	}
	return e
}

// Socket is where the engine listens, for the node and the machine alike.
func (e *Engine) Socket() string { return filepath.Join(e.Dir, e.Name+".sock") }

// PID is dockerd's process id as the machine sees it.
func (e *Engine) PID() int { return e.process.PID() }

// Start starts dockerd and waits until it answers. After Stop or Kill it has
// its containers and images again.
func (e *Engine) Start(ctx context.Context) error {
	if len(e.Socket()) > maxSocketPath {
		return fmt.Errorf("start engine: socket path %s has more than %d bytes: choose a shorter directory", e.Socket(), maxSocketPath)
	}
	config := filepath.Join(e.Dir, e.Name+".json")
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		return fmt.Errorf("start engine: %w", err)
	}
	for tries := 3; ; tries-- {
		err := e.startOnce(ctx, config)
		if tries == 1 || !again(err) {
			return err
		}
	}
}

func (e *Engine) startOnce(ctx context.Context, config string) error {
	process, err := e.spawn(Program{Name: e.Name, Args: e.args(config), Env: e.Env})
	if err != nil {
		return fmt.Errorf("start engine: %w", err)
	}
	e.process = process
	if err := e.awaitReady(ctx); err != nil {
		return errors.Join(fmt.Errorf("start engine: %w", err), tail(e.Dir, e.Name))
	}
	return nil
}

// again tells whether an engine that did not start may do so the next time: dockerd
// gives containerd 15 s, which on a machine with other work are now and then too few.
func again(err error) bool {
	return errors.Is(err, ErrEngineEnded) && strings.Contains(err.Error(), "timeout waiting for containerd to start")
}

func (e *Engine) args(config string) []string {
	run := filepath.Join("/run", e.Name)
	args := []string{
		"dockerd", "--config-file=" + config,
		"--data-root=" + filepath.Join(e.Dir, e.Name),
		"--exec-root=" + run, "--pidfile=" + run + ".pid",
		"--host=unix://" + e.Socket(), "--host=unix://" + run + ".sock",
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false",
		"--ip-forward=false", "--userland-proxy=false",
		"--cgroup-parent=/" + e.CgroupParent,
		"--exec-opt=native.cgroupdriver=cgroupfs", // no service manager can be reached
		"--oom-score-adjust=0",                    // lowering it may be forbidden
		"--log-level=warn",
	}
	if e.LiveRestore {
		args = append(args, "--live-restore")
	}
	if e.Experimental {
		args = append(args, "--experimental")
	}
	return args
}

// awaitReady waits until the engine answers.
func (e *Engine) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return AwaitEngine(ctx, e.Socket(), 10*time.Millisecond, e.process.Done())
}

// ErrEngineEnded means that dockerd ended before it answered.
var ErrEngineEnded = errors.New("dockerd ended at once")

// AwaitEngine asks at the socket, every so often, until dockerd answers: it has
// no other sign that cannot be confused with containerd's. ErrEngineEnded is its
// end before that, which ended tells; else the error is the cause of ctx's end.
func AwaitEngine(ctx context.Context, socket string, every time.Duration, ended <-chan struct{}) error {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/_ping", nil)
		if err != nil {
			return fmt.Errorf("ask engine: %w", err)
		}
		if resp, err := transport.RoundTrip(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ended:
			return ErrEngineEnded
		case <-ctx.Done():
			return fmt.Errorf("wait for dockerd's first answer: %w", context.Cause(ctx))
		}
	}
}

// Stop ends dockerd in good order: without LiveRestore it stops its containers
// first, which takes 10 s for one that ignores TERM.
func (e *Engine) Stop(ctx context.Context) error {
	if e == nil || e.process == nil {
		return nil
	}
	if err := e.process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop engine: %w", err)
	}
	select {
	case <-e.process.Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for dockerd's end: %w", ctx.Err())
	}
}

// Signal sends dockerd a signal, such as SIGSTOP to have it hang.
func (e *Engine) Signal(sig os.Signal) error { return e.process.Signal(sig) }

// Kill ends dockerd with SIGKILL. Its containers' processes live on; without
// LiveRestore the next Start ends them.
func (e *Engine) Kill(ctx context.Context) error {
	if e == nil || e.process == nil {
		return nil
	}
	return e.process.Kill(ctx)
}

// Docker runs Docker's CLI on the engine and returns what it prints.
func (e *Engine) Docker(ctx context.Context, args ...string) (string, error) {
	return output(outside(ctx, "docker", e.cli(args)...), "docker", args)
}

// cli points Docker's CLI to the engine and away from the user's settings.
func (e *Engine) cli(args []string) []string {
	return append([]string{"--config", filepath.Join(e.Dir, "cli"), "--host", "unix://" + e.Socket()}, args...)
}
