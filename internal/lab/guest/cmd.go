//go:build linux

package guest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
)

// A Cmd is a command to run once in a guest, as os/exec's is on the host.
type Cmd struct {
	// Args are the command and its arguments.
	Args []string
	// Env is added to the guest's own, as KEY=value. Optional.
	Env []string
	// Dir is the working directory. Optional: /.
	Dir string
	// Stdin must come to an end by itself for Wait to return. Optional: empty.
	Stdin io.Reader
	// Stdout and Stderr take the output. Optional: it is dropped. They are
	// written by one goroutine and may be the same.
	Stdout, Stderr io.Writer

	client *Client
	ctx    context.Context
	talk   *talk
	sent   chan error
	said   bytes.Buffer // what Output kept of standard error
}

// An ExitError is a command's end with another status than 0.
type ExitError struct {
	Code   int    // -1 after a signal
	Signal string // what killed it, such as "killed"
	Stderr []byte // with Output alone
}

func (e *ExitError) Error() string {
	what := fmt.Sprintf("exit status %d", e.Code)
	if e.Signal != "" {
		what = "signal: " + e.Signal
	}
	if said := bytes.TrimSpace(e.Stderr); len(said) > 0 {
		what += ": " + string(said)
	}
	return what
}

// Command prepares a command. When ctx ends, the command and all in its process
// group are killed.
func (c *Client) Command(ctx context.Context, args ...string) *Cmd {
	return &Cmd{Args: args, client: c, ctx: ctx}
}

// Start starts the command. Wait must follow.
func (c *Cmd) Start() error {
	var err error
	c.talk, err = c.client.open(c.ctx, protocol.Request{Op: protocol.OpRun, Args: c.Args, Env: c.Env, Dir: c.Dir})
	if err != nil {
		return c.wrap(err)
	}
	stdin := c.Stdin
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	c.sent = make(chan error, 1)
	go func() { c.sent <- c.talk.send(stdin) }()
	return nil
}

// Wait waits for the command's end. It is an *ExitError unless its exit status
// is 0.
func (c *Cmd) Wait() error {
	stdout, stderr := c.Stdout, c.Stderr
	if stdout == nil {
		stdout = io.Discard
	}
	if stderr == nil {
		stderr = io.Discard
	}
	result, err := c.talk.finish(stdout, stderr)
	c.talk.close()
	<-c.sent // a command need not read all of its input
	if err != nil {
		return c.wrap(err)
	}
	if result.Code != 0 || result.Signal != "" {
		return c.wrap(&ExitError{Code: result.Code, Signal: result.Signal, Stderr: c.said.Bytes()})
	}
	return nil
}

// Run starts the command and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns its standard output. What it said on
// standard error is in the error, unless Stderr is set.
func (c *Cmd) Output() ([]byte, error) {
	var stdout bytes.Buffer
	c.Stdout = &stdout
	if c.Stderr == nil {
		c.Stderr = &c.said
	}
	err := c.Run()
	return stdout.Bytes(), err
}

// Signal sends a signal to the command and all in its process group. It may be
// called between Start and the end of Wait.
func (c *Cmd) Signal(sig syscall.Signal) error {
	if err := c.talk.out.Frame(protocol.KindSignal, []byte{byte(sig)}); err != nil {
		return c.wrap(err)
	}
	return nil
}

func (c *Cmd) wrap(err error) error {
	return fmt.Errorf("run %s in guest %s: %w", strings.Join(c.Args, " "), c.client.Addr, err)
}
