//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/internal/store/etcdstore"
)

// A Candidate is one of several controllers, of which one leads. It is started again
// when it ends, as by systemd.
type Candidate struct {
	Name string
	// Addr is where it listens.
	Addr netip.Addr

	fleet *Fleet
	ended chan struct{} // closed when it is not started again

	mu      sync.Mutex
	process *lab.Process
	over    bool
	frozen  bool
	ends    []error // with what it has ended, each time
}

// The members of etcd, and the controllers, are all on the fleet's machine.
const (
	members, candidates = 3, 2
	clientPort          = 2379 // of the first member; each has two
	againAfter          = 200 * time.Millisecond
)

func memberURL(i, of int) string { return fmt.Sprintf("http://127.0.0.1:%d", clientPort+2*i+of) }

// memberSocket is how one who is not on the machine asks a member of etcd.
func (f *Fleet) memberSocket(i int) string { return "unix://" + f.File(fmt.Sprintf("etcd%d.sock", i)) }

// etcdArgs are those of a member.
func (f *Fleet) etcdArgs(i int) []string {
	name := func(i int) string { return fmt.Sprintf("etcd%d", i) }
	var all []string
	for j := range members {
		all = append(all, name(j)+"="+memberURL(j, 1))
	}
	return []string{
		f.opts.Etcd, "--name", name(i), "--data-dir", f.File(name(i)), "--unsafe-no-fsync",
		"--listen-client-urls", memberURL(i, 0) + "," + f.memberSocket(i), "--advertise-client-urls", memberURL(i, 0),
		"--listen-peer-urls", memberURL(i, 1), "--initial-advertise-peer-urls", memberURL(i, 1),
		"--initial-cluster", strings.Join(all, ","),
	}
}

// storeOf is what the config says of the records.
func (f *Fleet) storeOf() string {
	if f.opts.Etcd == "" {
		return f.StorePath()
	}
	var all []string
	for i := range members {
		all = append(all, memberURL(i, 0))
	}
	return fmt.Sprintf("{kind: etcd, endpoints: [%s]}", strings.Join(all, ", "))
}

// Records opens what the controllers have in etcd.
func (f *Fleet) Records(ctx context.Context) (*etcdstore.Store, error) {
	opts := etcdstore.Options{Compact: -1}
	for i := range members {
		opts.Endpoints = append(opts.Endpoints, f.memberSocket(i))
	}
	return etcdstore.Open(ctx, opts)
}

// startSeveral starts etcd and the controllers, and returns when one leads.
func (f *Fleet) startSeveral(ctx context.Context) error {
	for i := range members {
		if err := f.daemons.Start(lab.Program{Name: fmt.Sprintf("etcd%d", i), Args: f.etcdArgs(i)}); err != nil {
			return err
		}
	}
	for i := range candidates {
		addr := host.Addr()
		for range i {
			addr = addr.Next()
			if _, err := f.Machine.Run(ctx, "ip", "addr", "add", netip.PrefixFrom(addr, host.Bits()).String(), "dev", bridge); err != nil {
				return err
			}
		}
		c := &Candidate{Name: fmt.Sprint(Controller, i+1), Addr: addr, fleet: f, ended: make(chan struct{})}
		text := f.configText(c.Name, net.JoinHostPort(addr.String(), port)) + "metrics: {address: \"\"}\n" // they share a machine
		if err := os.WriteFile(c.config(), []byte(text), 0o600); err != nil {
			return err
		}
		if err := c.spawn(); err != nil {
			return err
		}
		f.Candidates = append(f.Candidates, c)
		go c.supervise()
	}
	return Until(ctx, "a controller to lead", func() error { _, err := f.Leader(ctx); return err })
}

// Leader is the one that works.
func (f *Fleet) Leader(ctx context.Context) (*Candidate, error) {
	var errs []error
	for _, c := range f.Candidates {
		err := c.Works(ctx)
		if err == nil {
			return c, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", c.Name, err))
	}
	return nil, errors.Join(errs...)
}

func (c *Candidate) config() string { return c.fleet.File(c.Name + ".yaml") }

// Socket is the path of its socket.
func (c *Candidate) Socket() string { return c.fleet.File(c.Name + ".sock") }

// Log is what it has logged since the fleet was started.
func (c *Candidate) Log() string { return read(c.fleet.File(c.Name + ".log")) }

// Works returns why the controller does not work.
func (c *Candidate) Works(ctx context.Context) error {
	_, err := c.CLI(ctx, "get", "nodes")
	return err
}

// errFrozen: it would not answer.
var errFrozen = errors.New("frozen")

// CLI runs the nicferry command on the controller's socket.
func (c *Candidate) CLI(ctx context.Context, args ...string) (string, error) {
	c.mu.Lock()
	frozen := c.frozen
	c.mu.Unlock()
	if frozen {
		return "", errFrozen
	}
	return c.fleet.on(ctx, c.Socket(), args)
}

func (c *Candidate) spawn() (err error) {
	c.process, err = c.fleet.Machine.Spawn(lab.Program{
		Name: c.Name, Args: []string{c.fleet.Program("nicferryd"), "--config", c.config()}, Env: c.fleet.opts.Env,
	})
	return err
}

func (c *Candidate) supervise() {
	defer close(c.ended)
	for {
		c.mu.Lock()
		process := c.process
		c.mu.Unlock()
		err := process.Wait(context.Background())
		_ = retry.Sleep(context.Background(), againAfter)
		c.mu.Lock()
		c.ends = append(c.ends, err)
		if !c.over && c.spawn() != nil {
			c.over = true // the machine is being closed
		}
		over := c.over
		c.mu.Unlock()
		if over {
			return
		}
	}
}

// Kill ends the controller with SIGKILL, for good.
func (c *Candidate) Kill(ctx context.Context) error {
	c.mu.Lock()
	c.over = true
	process := c.process
	c.mu.Unlock()
	if err := process.Kill(ctx); err != nil {
		return err
	}
	<-c.ended
	return nil
}

// Signal sends a signal to the controller, which is started again if it ends.
func (c *Candidate) Signal(sig os.Signal) error { return c.signal(sig, false) }

// Freeze stops the controller where it is: its connections stay open.
func (c *Candidate) Freeze() error { return c.signal(syscall.SIGSTOP, true) }

// Thaw lets it go on.
func (c *Candidate) Thaw() error { return c.signal(syscall.SIGCONT, false) }

func (c *Candidate) signal(sig os.Signal, frozen bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = frozen
	if err := c.process.Signal(sig); err != nil {
		return fmt.Errorf("send %s to %s: %w", sig, c.Name, err)
	}
	return nil
}

// Ends are with what it has ended, each time.
func (c *Candidate) Ends() []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]error(nil), c.ends...)
}

// retire has no controller started again.
func (f *Fleet) retire() {
	for _, c := range f.Candidates {
		c.mu.Lock()
		c.over = true
		c.mu.Unlock()
	}
}
