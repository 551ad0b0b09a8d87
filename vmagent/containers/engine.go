//go:build linux

package containers

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultSocket is where Docker listens unless told otherwise.
const DefaultSocket = "/var/run/docker.sock"

const (
	defaultResync  = 30 * time.Second
	defaultTimeout = 30 * time.Second
)

// Oldest API that has all we use: that of Docker 19.03.
const minAPIMajor, minAPIMinor = 1, 40

// Options say which engine to watch, and how.
type Options struct {
	// Socket is the path of the engine's unix socket. Optional: DefaultSocket.
	Socket string
	// Log is told when the event stream is lost and found. Optional.
	Log *slog.Logger
	// Resync is how often Watch asks for a look at everything, whatever the
	// events said. Optional: 30 s.
	Resync time.Duration
	// Timeout bounds each question to the engine. Optional: 30 s, because an
	// engine that boots with many containers is slow.
	Timeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Socket == "" {
		o.Socket = DefaultSocket
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Resync <= 0 {
		o.Resync = defaultResync
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	return o
}

// An Engine is a Docker engine on this machine. Its methods may be called from
// several goroutines.
type Engine struct {
	api     api
	docker  *docker // the same, for the orders of moves
	opts    Options
	version string

	afterOpen func() // a test's chance to end the container in Namespace
}

// Open connects to an engine and checks that nicferry can serve it. The error
// is ErrNoEngine if nothing answers, which is worth trying again, and
// ErrUnsupported if the engine is too old, rootless or Docker Desktop.
func Open(ctx context.Context, opts Options) (*Engine, error) {
	opts = opts.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	d, err := dial(ctx, opts.Socket)
	if err != nil {
		return nil, err
	}
	e, err := open(ctx, d, opts)
	if err != nil {
		_ = d.close() // it only drops idle connections
		return nil, err
	}
	e.docker = d
	return e, nil
}

func open(ctx context.Context, a api, opts Options) (*Engine, error) {
	about, err := a.about(ctx)
	if err != nil {
		return nil, err
	}
	if err := about.check(); err != nil {
		return nil, fmt.Errorf("open Docker at %s: %w", opts.Socket, err)
	}
	return &Engine{api: a, opts: opts, version: about.Version, afterOpen: func() {}}, nil
}

// check says why nicferry cannot serve an engine.
func (a about) check() error {
	switch {
	case a.OSType != "linux":
		return fmt.Errorf("%w: its containers are %s ones; nicferry serves Linux containers on Linux", ErrUnsupported, a.OSType)
	case strings.Contains(a.OS, "Docker Desktop"):
		return fmt.Errorf("%w: it is Docker Desktop, whose containers are in a virtual machine of its own; install Docker Engine", ErrUnsupported)
	case slices.ContainsFunc(a.Security, isRootless):
		return fmt.Errorf("%w: it is rootless, and has no right to the machine's network; run Docker as root", ErrUnsupported)
	case !atLeast(a.APIVersion, minAPIMajor, minAPIMinor):
		return fmt.Errorf("%w: version %s speaks API %s; nicferry needs API %d.%d or newer, that is Docker 19.03",
			ErrUnsupported, a.Version, a.APIVersion, minAPIMajor, minAPIMinor)
	}
	return nil
}

// isRootless reads an option such as "name=rootless" or "name=seccomp,profile=default".
func isRootless(option string) bool {
	return slices.Contains(strings.Split(option, ","), "name=rootless") || option == "rootless"
}

// atLeast compares a version such as "1.41". One that cannot be read is too old.
func atLeast(version string, major, minor int) bool {
	first, second, _ := strings.Cut(version, ".")
	a, errA := strconv.Atoi(first)
	b, errB := strconv.Atoi(second)
	if errA != nil || errB != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

// Version is the engine's, such as 20.10.24, when it was opened.
func (e *Engine) Version() string { return e.version }

// Close drops idle connections. Calls under way go on.
func (e *Engine) Close() error { return e.api.close() }

// Get reads one container afresh. It returns ErrNotFound if there is none.
func (e *Engine) Get(ctx context.Context, id string) (Container, error) {
	if !isID(id) {
		return Container{}, fmt.Errorf("inspect container %q: want an id of hex digits", id)
	}
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	return e.api.inspect(ctx, id)
}

// List returns all containers, also those that do not run, or an error: never
// a short list. Of each it tells what the engine's list tells.
func (e *Engine) List(ctx context.Context) ([]Container, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	return e.api.list(ctx)
}

// isID keeps what is not an id out of URLs and keys.
func isID(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}
