//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// endTime bounds how long the end of a node's processes and of their control
// groups is waited for.
const endTime = time.Minute

// ErrClosed means that the node was closed already.
var ErrClosed = errors.New("lab node is closed")

// Options say what kind of node to start.
type Options struct {
	// Dir is where the node's own directory is made. Optional: os.TempDir().
	// Leftovers of nodes whose process was killed are looked for in the same
	// place, so give one that lasts.
	Dir string
	// Log is told what was swept. Optional.
	Log *slog.Logger
	// NoEngine leaves dockerd out. Optional.
	NoEngine bool
	// LiveRestore keeps containers running while dockerd is down. Optional.
	LiveRestore bool
}

// A Node is a machine made of namespaces. Its processes see the machine's
// files, but an empty /run, their own processes and their own network.
type Node struct {
	Engine *Engine // nil with Options.NoEngine

	dir    string
	lock   *os.File
	holder *holder

	mu        sync.Mutex
	closed    bool
	processes []*Process
}

// Start makes a node and waits until its engine answers. It needs root and the
// programs that [Missing] knows.
func Start(ctx context.Context, opts Options) (*Node, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Dir == "" {
		opts.Dir = os.TempDir()
	}
	if err := ready(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(opts.Dir) // the engine is told of it
	if err != nil {
		return nil, fmt.Errorf("start lab node: %w", err)
	}
	opts.Dir = dir
	if err := sweep(opts.Dir, opts.Log); err != nil {
		return nil, err
	}
	n := &Node{}
	if err := n.start(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("start lab node: %w", err), n.Close())
	}
	return n, nil
}

func (n *Node) start(ctx context.Context, opts Options) (err error) {
	if n.dir, n.lock, err = makeDir(opts.Dir); err != nil {
		return err
	}
	if n.holder, err = hold(ctx); err != nil {
		return err
	}
	if opts.NoEngine {
		return nil
	}
	n.Engine = &Engine{
		Dir:          n.dir,
		Name:         "docker",
		CgroupParent: n.Name(),
		LiveRestore:  opts.LiveRestore,
		spawn:        n.Spawn,
	}
	return n.Engine.Start(ctx)
}

// Name is unlike that of any other node on the machine, and the name of the
// node's control groups.
func (n *Node) Name() string { return filepath.Base(n.dir) }

// Dir is the node's directory, which the node and the machine both see and
// which Close removes. Log files are in it, as NAME.log.
func (n *Node) Dir() string { return n.dir }

// NetNS is a path that names the node's network namespace while it lives.
func (n *Node) NetNS() string { return n.proc("ns", "net") }

// Root is the node's file system as the machine sees it, such as
// Root()+"/run/docker/netns".
func (n *Node) Root() string { return n.proc("root") }

func (n *Node) proc(parts ...string) string {
	return filepath.Join(append([]string{"/proc", strconv.Itoa(n.holder.pid)}, parts...)...)
}

// Docker runs Docker's CLI on the node's engine and returns what it prints.
func (n *Node) Docker(ctx context.Context, args ...string) (string, error) {
	if n.Engine == nil {
		return "", errors.New("run docker: the lab node was started without an engine")
	}
	return n.Engine.Docker(ctx, args...)
}

// Close ends everything in the node and removes what it left. It may be called
// twice and on a node that only half started.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	if err := n.holder.end(); err != nil {
		return fmt.Errorf("close lab node: %w", err) // its files are still in use
	}
	for _, p := range n.processes {
		<-p.Done() // the kernel has killed it; this only waits for its goroutine
	}
	n.closed = true
	if n.dir == "" {
		return nil
	}
	err := errors.Join(removeCgroups(n.Name()), os.RemoveAll(n.dir), n.lock.Close())
	if err != nil {
		return fmt.Errorf("close lab node: %w", err)
	}
	return nil
}

// logFile opens NAME.log in the node's directory for appending.
func logFile(dir, name string) (io.WriteCloser, error) {
	return os.OpenFile(logPath(dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

func logPath(dir, name string) string { return filepath.Join(dir, name+".log") }
