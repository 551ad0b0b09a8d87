//go:build linux

// Package hyper is a hypervisor's host made of namespaces: a libvirtd of its
// own with its network, which outlives who started it and leaves nothing.
package hyper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
)

var (
	// ErrRuns means that there is a host at the directory already.
	ErrRuns = errors.New("a hypervisor host runs there already")
	// ErrNone means that no host runs at the directory.
	ErrNone = errors.New("no hypervisor host runs there")
)

// Options say what to start.
type Options struct {
	// Dir is the host's directory, which must not exist or be one of ours and
	// which Stop removes. Required: absolute, at most 80 bytes for the sake of
	// sockets, and not below /run, /etc, /var/lib/libvirt, /sys or /proc, which
	// the host has of its own.
	Dir string
	// Private are folders of the machine of which the host has its own, with what
	// is in them at first: what the host changes there is gone with it. Mounts
	// below them are not seen on the host. Optional: absolute, and not above Dir.
	Private []string
	// Log is told of each step that takes time. Optional.
	Log *slog.Logger
}

// A Host is a machine made of namespaces, with libvirtd on it. Its processes
// see the machine's files, but their own /run and libvirt's folders, their own
// processes and their own network, which has only lo.
type Host struct {
	dir string
	log *slog.Logger
	pid int // of its first process, as the machine sees it
}

// Start makes a host and waits until its libvirtd takes connections. It lives
// on when the caller ends, until Stop. What a host left that is dead is removed
// first; ErrRuns is one that is not.
func Start(ctx context.Context, opts Options) (*Host, error) {
	h, err := start(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("start hypervisor host at %s: %w", opts.Dir, err)
	}
	return h, nil
}

func start(ctx context.Context, opts Options) (_ *Host, err error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := ready(opts.Dir, opts.Private); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, opts.Dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	pid, err := find(opts.Dir)
	if err != nil {
		return nil, err
	}
	if pid != 0 {
		return nil, ErrRuns
	}
	h := &Host{dir: opts.Dir, log: opts.Log}
	defer func() {
		if err != nil {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
			defer cancel()
			err = errors.Join(err, end(clean, opts.Dir))
		}
	}()
	if err := lay(opts.Dir); err != nil {
		return nil, err
	}
	if h.pid, err = hold(ctx, opts.Dir, opts.Private); err != nil {
		return nil, err
	}
	return h, h.startLibvirt(ctx)
}

// Find finds the host that was started at the directory, by whatever process.
// The error is ErrNone if there is none.
func Find(dir string, log *slog.Logger) (*Host, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	pid, err := find(dir)
	if err == nil && pid == 0 {
		err = ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("find hypervisor host at %s: %w", dir, err)
	}
	return &Host{dir: dir, log: log, pid: pid}, nil
}

// Stop ends all that runs on the host at the directory and removes the
// directory. It may be called twice, and where the host or its maker has died.
func Stop(ctx context.Context, dir string) error {
	unlock, err := lock(ctx, dir)
	if err == nil {
		defer unlock()
		err = end(ctx, dir)
	}
	if err != nil {
		return fmt.Errorf("stop hypervisor host at %s: %w", dir, err)
	}
	return nil
}

// Stop is the function of that name.
func (h *Host) Stop(ctx context.Context) error { return Stop(ctx, h.dir) }

func end(ctx context.Context, dir string) error {
	if err := kill(ctx, dir); err != nil {
		return err // its files are in use
	}
	_, err := os.Lstat(filepath.Join(dir, marker))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone, or not ours
	}
	return os.RemoveAll(dir)
}

// Dir is the host's directory, which the host and the machine both see. Log
// files are in its log folder, as NAME.log.
func (h *Host) Dir() string { return h.dir }

// Lib is the folder that the host sees as /var/lib/libvirt too: for kernels and
// disks.
func (h *Host) Lib() string { return filepath.Join(h.dir, "lib") }

// Socket is libvirtd's, the same on the host and on the machine.
func (h *Host) Socket() string { return filepath.Join(h.dir, "run", "libvirt-sock") }

// URI is libvirtd's, the same on the host and on the machine.
func (h *Host) URI() string { return "qemu+unix:///system?socket=" + h.Socket() }

// PID is the host's first process as the machine sees it.
func (h *Host) PID() int { return h.pid }

// NetNS is a path that names the host's network namespace while it lives.
func (h *Host) NetNS() string { return filepath.Join("/proc", strconv.Itoa(h.pid), "ns", "net") }

// Root is the host's file system as the machine sees it.
func (h *Host) Root() string { return filepath.Join("/proc", strconv.Itoa(h.pid), "root") }

// Command prepares a program to run on the host. It ends with ctx, with its
// caller, and with the host.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return h.enter(ctx, append([]string{"setpriv", "--pdeathsig", "KILL", "--", name}, args...)...)
}

// Run runs a program on the host and returns what it prints. The error tells
// what it said.
func (h *Host) Run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := h.Command(ctx, name, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return string(out), fmt.Errorf("run %s %s: %w", name, strings.Join(args, " "), err)
	}
	return string(out), nil
}

func (h *Host) enter(ctx context.Context, args ...string) *exec.Cmd {
	all := append([]string{"--target", strconv.Itoa(h.pid), "--mount", "--net", "--pid", "--wdns=/", "--"}, args...)
	cmd := exec.CommandContext(ctx, lab.Lookup("nsenter"), all...)
	cmd.Env = environ(h.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's ctrl-C is for us alone
	cmd.WaitDelay = 5 * time.Second
	if !isHolder(h.pid, h.dir) {
		cmd.Err = ErrNone // never enter whoever has the process id now
	}
	return cmd
}

// Launch starts a program on the host that goes on when the caller ends, with
// its output in NAME.log. It has no more to do with the caller: Kill ends it.
func (h *Host) Launch(ctx context.Context, p lab.Program) error {
	log, err := os.OpenFile(h.logPath(p.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer log.Close()
	cmd := h.enter(ctx, append([]string{"setsid", "--fork", "--"}, p.Args...)...)
	cmd.Env = append(cmd.Env, p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	return nil
}

func (h *Host) logPath(name string) string { return filepath.Join(h.dir, "log", name+".log") }
