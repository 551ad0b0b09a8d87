//go:build linux

// Package fleet is a lab of a controller and agents, each on a machine of its
// own made of namespaces, that meet over TLS on a network that nobody else is on.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
)

// Options say what fleet to start.
type Options struct {
	// Bin is the folder of nicferry's programs. Required.
	Bin string
	// Agents is how many machines have Docker and an agent: vm1, vm2, and so on.
	// Optional: 1.
	Agents int
	// Providers and Networks are added to those in the controller's config, as items
	// of a YAML list, and Controller to all of it. Optional.
	Providers, Networks, Controller string
	// Env is added to the controller's environment, as "KEY=value". Optional.
	Env []string
	// Agent is added to every agent's config, as YAML. Optional.
	Agent string
	// OneLAN has the machines' networks on one switch, beside the controller, instead
	// of each on a LAN of its own. Optional.
	OneLAN bool
	// Etcd is the program of etcd: the records are in three members of it, and there are
	// two controllers. Optional: the records are in a file, and there is one.
	Etcd string
	// ByHand leaves it to the caller to start the controller, to have the agents
	// join and to start them. Optional.
	ByHand bool
	// Log is told what was swept. Optional.
	Log *slog.Logger
}

// A Fleet is a controller with its agents. Its methods are for one goroutine,
// but for CLI.
type Fleet struct {
	// Machine is the controller's, which has no Docker.
	Machine *lab.Node
	Agents  []*Agent
	// Candidates are the controllers, with Options.Etcd.
	Candidates []*Candidate
	// LAN is that of all machines, with Options.OneLAN.
	LAN *lab.Segment

	opts    Options
	daemons *lab.Daemons
}

// The network on which controller and agents meet.
const bridge, bridgeMAC, uplink = "mgmt0", "02:1a:b1:00:00:01", "mgmt0"

var host = netip.MustParsePrefix("10.98.0.1/24")

// port is that of the controller's API.
const port = "7460"

// maxAgents is what the addresses are enough for.
const maxAgents = 16

// Start starts the machines and, unless by hand, the daemons on them, and waits
// until all agents are ready. What it needs is what lab.Start needs.
func Start(ctx context.Context, opts Options) (*Fleet, error) {
	if opts.Agents == 0 {
		opts.Agents = 1
	}
	if opts.Agents < 0 || opts.Agents > maxAgents {
		return nil, fmt.Errorf("start fleet: %d agents; want 1 to %d", opts.Agents, maxAgents)
	}
	f := &Fleet{opts: opts}
	if err := f.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start fleet: %w", err), f.Logs(), f.Close())
	}
	return f, nil
}

func (f *Fleet) start(ctx context.Context) (err error) {
	if f.Machine, err = lab.Start(ctx, lab.Options{NoEngine: true, Log: f.opts.Log}); err != nil {
		return err
	}
	f.daemons = f.Machine.Daemons()
	for _, step := range [][]string{
		// With a MAC of its own: else it has that of a port, and another when that goes.
		{"link", "add", bridge, "address", bridgeMAC, "type", "bridge", "forward_delay", "0"},
		{"addr", "add", host.String(), "dev", bridge},
		{"link", "set", bridge, "up"},
	} {
		if _, err := f.Machine.Run(ctx, "ip", step...); err != nil {
			return err
		}
	}
	if f.opts.OneLAN {
		if err := f.layLAN(ctx); err != nil {
			return err
		}
	}
	if err := f.Configure(f.opts.Networks, f.opts.Controller); err != nil {
		return err
	}
	for i := range f.opts.Agents {
		a, err := f.addAgent(ctx, i+1)
		if err != nil {
			return err
		}
		f.Agents = append(f.Agents, a)
	}
	if f.opts.ByHand {
		return nil
	}
	begin := f.StartController
	if f.opts.Etcd != "" {
		begin = f.startSeveral
	}
	if err := begin(ctx); err != nil {
		return err
	}
	for _, a := range f.Agents {
		if err := a.Join(ctx); err != nil {
			return err
		}
		if err := a.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// config is the controller's. Agents make the NICs: on "lab" a DHCP server is on
// the wire, on "fixed" the controller gives addresses of the same wire.
const config = `version: 1
socket: %[1]s/%[7]s.sock
socketGroup: root
store: %[6]s
listen: {address: "%[2]s"}
providers:
  - {name: local, kind: local, local: {slots: 64}}
%[5]snetworks:
  - name: lab
    provider: local
    addressing: dhcp
    veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}
  - name: fixed
    provider: local
    addressing: ipam
    hold: 2s
    cooldown: 1s
    veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}
    subnets: [{prefix: 10.77.1.0/24, gateway: 10.77.1.1, ranges: [10.77.1.100-10.77.1.199]}]
%[3]s%[4]s`

// Configure writes the controller's config anew, with these items more in its
// list of networks, and this at its end. It is read at the controller's next
// start.
func (f *Fleet) Configure(networks, controller string) error {
	f.opts.Networks, f.opts.Controller = networks, controller
	return os.WriteFile(f.ConfigPath(), []byte(f.configText(Controller, f.HostPort())), 0o600)
}

// configText is the config of the controller of that name.
func (f *Fleet) configText(name, listen string) string {
	return fmt.Sprintf(config, f.Machine.Dir(), listen, f.opts.Networks, f.opts.Controller, f.opts.Providers, f.storeOf(), name)
}

// HostPort is where the controller listens, and Address how agents know it.
func (f *Fleet) HostPort() string { return net.JoinHostPort(host.Addr().String(), port) }

// Address is the controller's for agents and for the command line on their machines;
// of several controllers it is all their addresses.
func (f *Fleet) Address() string {
	var all []string
	for _, c := range f.Candidates {
		all = append(all, "https://"+net.JoinHostPort(c.Addr.String(), port))
	}
	if len(all) > 0 {
		return strings.Join(all, ",")
	}
	return "https://" + f.HostPort()
}

// ConfigPath is that of the controller's config, StorePath that of its store.
func (f *Fleet) ConfigPath() string { return f.File("nicferryd.yaml") }

// StorePath is that of the controller's store, which is nobody else's while it runs.
func (f *Fleet) StorePath() string { return f.File("nicferry.db") }

// File is a path in the controller's directory.
func (f *Fleet) File(name string) string { return filepath.Join(f.Machine.Dir(), name) }

// Program is the path of one of nicferry's programs.
func (f *Fleet) Program(name string) string { return filepath.Join(f.opts.Bin, name) }

// CLI runs the nicferry command beside the controller, on its socket, and
// returns what it prints. Of several controllers it asks the first that works.
func (f *Fleet) CLI(ctx context.Context, args ...string) (out string, err error) {
	for _, c := range f.Candidates {
		if out, err = c.CLI(ctx, args...); err == nil || !(errors.Is(err, errFrozen) || unserved(err)) {
			return out, err
		}
	}
	if len(f.Candidates) > 0 {
		return out, err
	}
	return f.on(ctx, f.File(Controller+".sock"), args)
}

// on runs the nicferry command on a socket.
func (f *Fleet) on(ctx context.Context, socket string, args []string) (string, error) {
	return f.Machine.Run(ctx, f.Program("nicferry"), append([]string{"--controller", "unix://" + socket}, args...)...)
}

// unserved tells an error of a controller that does not work from one that says no.
func unserved(err error) bool {
	return strings.Contains(err.Error(), "stands by") || strings.Contains(err.Error(), "does not answer") ||
		strings.Contains(err.Error(), "deadline exceeded")
}

// Controller is nicferryd's name among the daemons of its machine.
const Controller = "nicferryd"

// Daemons are what runs on the controller's machine: Controller is one of them.
func (f *Fleet) Daemons() *lab.Daemons { return f.daemons }

// StartController starts nicferryd and waits until it serves.
func (f *Fleet) StartController(ctx context.Context) error {
	if err := f.SpawnController(); err != nil {
		return err
	}
	return Until(ctx, "nicferryd to serve", func() error {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", f.File("nicferryd.sock"))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// SpawnController starts nicferryd and does not wait.
func (f *Fleet) SpawnController() error {
	return f.daemons.Start(lab.Program{Name: Controller, Args: []string{f.Program("nicferryd"), "--config", f.ConfigPath()}, Env: f.opts.Env})
}

// SetEnv gives the controller another environment at its next start, besides its
// machine's, as "KEY=value".
func (f *Fleet) SetEnv(env []string) { f.opts.Env = env }

// StopController ends nicferryd in good order, KillController by SIGKILL.
func (f *Fleet) StopController(ctx context.Context) error { return f.daemons.Stop(ctx, Controller) }

// KillController ends nicferryd with SIGKILL.
func (f *Fleet) KillController(ctx context.Context) error { return f.daemons.Kill(ctx, Controller) }

// Log is what nicferryd has logged since the fleet was started.
func (f *Fleet) Log() string { return read(f.File(Controller + ".log")) }

// Logs are the logs of all daemons, as an error to go with another.
func (f *Fleet) Logs() error {
	if f.Machine == nil {
		return nil
	}
	errs := []error{}
	for _, c := range f.Candidates {
		errs = append(errs, fmt.Errorf("log of %s:\n%s", c.Name, c.Log()))
	}
	if len(errs) == 0 {
		errs = append(errs, fmt.Errorf("log of nicferryd:\n%s", f.Log()))
	}
	for _, a := range f.Agents {
		errs = append(errs, fmt.Errorf("log of the agent of %s:\n%s", a.Name, a.Log()))
	}
	return errors.Join(errs...)
}

func read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Close ends everything on all machines and removes them. It may be called twice
// and on a fleet that only half started.
func (f *Fleet) Close() error {
	f.retire()
	var errs []error
	for _, a := range f.Agents {
		errs = append(errs, a.Machine.Close())
	}
	if f.Machine != nil {
		errs = append(errs, f.Machine.Close())
	}
	if errors.Join(errs...) == nil {
		for _, c := range f.Candidates {
			<-c.ended
		}
	}
	return errors.Join(errs...)
}

// Until asks again and again until there is no error, within a minute. The error is
// the last one.
func Until(ctx context.Context, what string, ask func() error) error {
	return lab.Until(ctx, what, time.Minute, 20*time.Millisecond, func(context.Context) error { return ask() })
}
