//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Daemons are programs of one node by name, which are ended and started again.
// They are for one goroutine.
type Daemons struct {
	node    *Node
	running map[string]*Process
}

// Daemons returns an empty set.
func (n *Node) Daemons() *Daemons { return &Daemons{node: n, running: map[string]*Process{}} }

// Start starts a program under a name that none has which runs.
func (d *Daemons) Start(p Program) error {
	if d.running[p.Name] != nil {
		return fmt.Errorf("start %s: it runs", p.Name)
	}
	process, err := d.node.Spawn(p)
	if err == nil {
		d.running[p.Name] = process
	}
	return err
}

// Process is the program of the name; nil if it was not started or has been
// ended since.
func (d *Daemons) Process(name string) *Process { return d.running[name] }

// Stop ends a program in good order, if it runs. Its exit status must be 0.
func (d *Daemons) Stop(ctx context.Context, name string) error {
	p := d.running[name]
	if p == nil {
		return nil
	}
	delete(d.running, name)
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := p.Wait(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// Kill ends a program with SIGKILL.
func (d *Daemons) Kill(ctx context.Context, name string) error {
	p := d.running[name]
	if p == nil {
		return fmt.Errorf("kill %s: it does not run", name)
	}
	delete(d.running, name)
	return p.Kill(ctx)
}

// Signal sends a signal to a program.
func (d *Daemons) Signal(name string, sig os.Signal) error {
	p := d.running[name]
	if p == nil {
		return fmt.Errorf("send %s to %s: it does not run", sig, name)
	}
	return p.Signal(sig)
}

// Ended waits until a program has ended by itself, and wants that exit code.
func (d *Daemons) Ended(ctx context.Context, name string, code int) error {
	p := d.running[name]
	if p == nil {
		return fmt.Errorf("wait for the end of %s: it does not run", name)
	}
	delete(d.running, name)
	err := p.Wait(ctx)
	if err == nil && code == 0 {
		return nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == code {
		return nil
	}
	return fmt.Errorf("%s ended with %v, want exit code %d", name, err, code)
}
