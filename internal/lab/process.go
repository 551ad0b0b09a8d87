//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Program is a long-running program to start.
type Program struct {
	// Name is what its log file is called: NAME.log in the node's directory.
	// Required, unlike that of other programs running at the same time.
	Name string
	// Args are the program and its arguments. Required.
	Args []string
	// Env is added to our environment, as "KEY=value". Optional.
	Env []string
}

// A Process is a running program of the lab.
type Process struct {
	proc *os.Process // the program itself, by pidfd
	cmd  *os.Process // what started it, and waits for it
	done chan struct{}
	err  error // once done is closed
}

// Spawn starts a program inside the node. It ends with the node at the latest.
func (n *Node) Spawn(p Program) (*Process, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, fmt.Errorf("start %s: %w", p.Name, ErrClosed)
	}
	cmd := n.Command(context.Background(), p.Args[0], p.Args[1:]...)
	proc, err := spawn(n.dir, p, cmd, onlyChild)
	if err == nil {
		n.processes = append(n.processes, proc)
	}
	return proc, err
}

// itself says that the command is the program, not something that enters a
// namespace and waits for it.
func itself(pid int) (int, error) { return pid, nil }

// spawn starts cmd with its output in NAME.log; find tells the program's
// process id from the command's.
func spawn(dir string, p Program, cmd *exec.Cmd, find func(int) (int, error)) (*Process, error) {
	log, err := logFile(dir, p.Name)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(cmd.Env, p.Env...)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	process := &Process{cmd: cmd.Process, done: make(chan struct{})}
	pid, err := find(cmd.Process.Pid)
	if err == nil {
		process.proc, err = os.FindProcess(pid)
	}
	if err != nil {
		_ = cmd.Process.Kill() // its death signal ends the program
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.Name, err), cmd.Wait(), tail(dir, p.Name))
	}
	go func() {
		process.err = cmd.Wait()
		close(process.done)
	}()
	return process, nil
}

// PID is the process id as the machine sees it.
func (p *Process) PID() int { return p.proc.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal. A process that has ended is os.ErrProcessDone.
func (p *Process) Signal(sig os.Signal) error {
	err := p.proc.Signal(sig)
	if sig == syscall.SIGCONT { // nsenter stops itself when its child is stopped
		_ = p.cmd.Signal(sig) // gone with the program, if it is
	}
	return err
}

// Kill ends the process with SIGKILL and waits for its end. It may be called
// twice.
func (p *Process) Kill(ctx context.Context) error {
	if err := p.proc.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", p.PID(), err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of process %d: %w", p.PID(), ctx.Err())
	}
}

// Wait waits for the end of the process and returns an *exec.ExitError unless
// its exit status was 0.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("wait for process %d: %w", p.PID(), ctx.Err())
	}
}

// onlyChild waits for nsenter's child and returns its process id.
func onlyChild(parent int) (int, error) {
	const patience = 30 * time.Second // of which it needs some milliseconds
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		stats, err := filepath.Glob("/proc/[0-9]*/stat")
		if err != nil {
			return 0, fmt.Errorf("list processes: %w", err)
		}
		for _, path := range stats {
			stat, err := os.ReadFile(path)
			if err != nil {
				continue // ended meanwhile
			}
			pid, ppid, state := parseStat(string(stat))
			switch {
			case ppid == parent:
				return pid, nil
			case pid == parent && state == "Z":
				return 0, errors.New("it ended at once")
			}
		}
	}
	return 0, fmt.Errorf("no child of process %d within %s", parent, patience)
}

// parseStat reads proc_pid_stat(5): "pid (name) state ppid …". The name may
// hold anything.
func parseStat(stat string) (pid, ppid int, state string) {
	head, rest, _ := strings.Cut(stat, " ")
	fields := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:])
	if len(fields) < 2 {
		return 0, 0, ""
	}
	pid, _ = strconv.Atoi(head)
	ppid, _ = strconv.Atoi(fields[1])
	return pid, ppid, fields[0]
}

// tail is the end of a program's log, as an error that explains another.
func tail(dir, name string) error {
	file, err := os.Open(filepath.Join(dir, name+".log"))
	if err != nil {
		return err
	}
	defer file.Close()
	const most = 2000
	if info, err := file.Stat(); err == nil && info.Size() > most {
		_, _ = file.Seek(-most, io.SeekEnd)
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	return fmt.Errorf("log of %s ends with:\n%s", name, text)
}
