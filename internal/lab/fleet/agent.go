//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/nic"
)

// An Agent is a machine with Docker, a LAN for its containers' NICs, and a
// nicferry-agent that may be started and ended.
type Agent struct {
	Name    string
	Machine *lab.Node
	// LAN is the machine's own: 10.77.0.1/24 with DHCP, and 10.77.1.1/24. With
	// Options.OneLAN it is the fleet's.
	LAN *lab.Segment
	// Socket is where the agent finds Docker: the engine's own unless it is set
	// before Configure.
	Socket string

	fleet   *Fleet
	number  int
	daemons *lab.Daemons
}

// Nicferry is the agent's name among the daemons of its machine.
const Nicferry = "agent"

func (f *Fleet) addAgent(ctx context.Context, i int) (_ *Agent, err error) {
	a := &Agent{Name: fmt.Sprintf("vm%d", i), fleet: f, number: i}
	if a.Machine, err = lab.Start(ctx, lab.Options{Log: f.opts.Log}); err != nil {
		return nil, err
	}
	a.daemons, a.Socket = a.Machine.Daemons(), a.Machine.Engine.Socket()
	if err := a.furnish(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", a.Name, err), a.Machine.Close())
	}
	return a, nil
}

// furnish gives the machine its networks, its image and its agent's config.
func (a *Agent) furnish(ctx context.Context) error {
	if err := a.cable(ctx); err != nil {
		return err
	}
	if _, err := a.Machine.Engine.Image(ctx); err != nil {
		return err
	}
	return a.Configure(a.fleet.opts.Agent)
}

// cable gives the machine its networks.
func (a *Agent) cable(ctx context.Context) (err error) {
	addr := netip.AddrFrom4([4]byte{10, 98, 0, byte(10 + a.number)})
	plug := fmt.Sprintf("port%d", a.number)
	err = lab.Wire(ctx,
		lab.End{Node: a.fleet.Machine, Link: plug},
		lab.End{Node: a.Machine, Link: uplink, Addr: netip.PrefixFrom(addr, host.Bits()), MAC: a.mac(1), NoIPv6: a.fleet.opts.OneLAN})
	if err != nil {
		return err
	}
	if _, err := a.fleet.Machine.Run(ctx, "ip", "link", "set", plug, "master", bridge); err != nil {
		return err
	}
	if a.fleet.opts.OneLAN {
		a.LAN = a.fleet.LAN
		return a.plug(ctx)
	}
	a.LAN, err = a.Machine.Segment(ctx, lab.SegmentOptions{})
	return err
}

// mac is that of one of the machine's own interfaces, the same each time that it is
// powered on.
func (a *Agent) mac(i byte) nic.MAC { return nic.MAC{0x02, 0x1a, 0xb1, 0, i, byte(a.number)} }

// agentConfig names neither the node nor its controller: the identity does.
const agentConfig = `version: 1
identityDir: %[1]s/identity
docker: {socket: %[2]s}
runDir: %[4]s
resync: 1s
moves: true
%[3]s`

// Configure writes the agent's config anew, with this at its end.
func (a *Agent) Configure(more string) error {
	text := fmt.Sprintf(agentConfig, a.Machine.Dir(), a.Socket, more, a.RunDir())
	return os.WriteFile(a.ConfigPath(), []byte(text), 0o600)
}

// ConfigPath is that of the agent's config.
func (a *Agent) ConfigPath() string { return a.File("agent.yaml") }

// IdentityDir is where the agent's key and certificate are.
func (a *Agent) IdentityDir() string { return a.File("identity") }

// RunDir is where the agent keeps its notes. It makes it.
func (a *Agent) RunDir() string { return a.File("agent") }

// File is a path in the machine's directory.
func (a *Agent) File(name string) string { return filepath.Join(a.Machine.Dir(), name) }

// Log is what the agent has logged since the fleet was started.
func (a *Agent) Log() string { return read(a.File(Nicferry + ".log")) }

// Daemons are what runs on the machine: Nicferry is one of them.
func (a *Agent) Daemons() *lab.Daemons { return a.daemons }

// Token has the controller make a token for the node; more are further flags.
func (a *Agent) Token(ctx context.Context, more ...string) (string, error) {
	out, err := a.fleet.CLI(ctx, append([]string{"token", "create", "--node", a.Name}, more...)...)
	return strings.TrimSpace(out), err
}

// Join has the node join with a token of its own. Nothing is started.
func (a *Agent) Join(ctx context.Context) error {
	token, err := a.Token(ctx)
	if err != nil {
		return err
	}
	_, err = a.JoinWith(ctx, token)
	return err
}

// JoinWith runs `nicferry-agent join` with the token on its standard input and
// returns all that it prints, whether it works or not.
func (a *Agent) JoinWith(ctx context.Context, token string, flags ...string) (string, error) {
	args := append([]string{"join", "--identity-dir", a.IdentityDir(), a.fleet.Address(), "-"}, flags...)
	cmd := a.Machine.Command(ctx, a.fleet.Program("nicferry-agent"), args...)
	cmd.Stdin = strings.NewReader(token + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: nicferry-agent join: %w: %s", a.Name, err, strings.TrimSpace(string(out)))
	}
	return string(out), err
}

// Spawn starts the agent and does not wait.
func (a *Agent) Spawn() error {
	return a.daemons.Start(lab.Program{Name: Nicferry, Args: []string{a.fleet.Program("nicferry-agent"), "--config", a.ConfigPath()}})
}

// Start starts the agent and waits until the controller knows it as ready.
func (a *Agent) Start(ctx context.Context) error {
	before, _, err := a.session(ctx)
	if err != nil {
		return err
	}
	if err := a.Spawn(); err != nil {
		return err
	}
	return a.AwaitSession(ctx, before)
}

// AwaitSession waits until an agent of a later session than before is ready.
func (a *Agent) AwaitSession(ctx context.Context, before uint64) error {
	return Until(ctx, "the agent of "+a.Name+" to be ready", func() error {
		now, ready, err := a.session(ctx)
		if err == nil && !(ready && now > before) {
			err = fmt.Errorf("session %d, ready %t", now, ready)
		}
		return err
	})
}

// session is the number of the node's last agent, and whether that one reports.
func (a *Agent) session(ctx context.Context) (number uint64, ready bool, err error) {
	out, err := a.fleet.CLI(ctx, "get", "nodes", "-o", "json")
	if err != nil {
		return 0, false, err
	}
	return lab.SessionIn(out, a.Name)
}

// Stop ends the agent in good order, Kill by SIGKILL.
func (a *Agent) Stop(ctx context.Context) error { return a.daemons.Stop(ctx, Nicferry) }

// Kill ends the agent with SIGKILL.
func (a *Agent) Kill(ctx context.Context) error { return a.daemons.Kill(ctx, Nicferry) }

// Docker runs Docker's CLI on the machine's engine and returns what it prints.
func (a *Agent) Docker(ctx context.Context, args ...string) (string, error) {
	return a.Machine.Docker(ctx, args...)
}

// RunContainer starts a container that sleeps, without a Docker network and with
// these labels.
func (a *Agent) RunContainer(ctx context.Context, name string, labels ...string) error {
	args := []string{"run", "-d", "--init", "--network", "none", "--name", name}
	for _, label := range labels {
		args = append(args, "--label", label)
	}
	_, err := a.Docker(ctx, append(args, lab.ImageName)...)
	return err
}

// AwaitAddress waits until the container's eth0 has an IPv4 address, and returns
// it.
func (a *Agent) AwaitAddress(ctx context.Context, container string) (netip.Addr, error) {
	var addr netip.Addr
	err := Until(ctx, "eth0 of "+container+" to have an address", func() error {
		out, err := a.Docker(ctx, "exec", container, "ip", "-o", "-4", "addr", "show", "dev", "eth0")
		if err != nil {
			return err
		}
		fields := strings.Fields(out) // 2: eth0 inet 10.77.1.100/24 …
		if len(fields) < 4 {
			return fmt.Errorf("no address in %q", out)
		}
		prefix, err := netip.ParsePrefix(fields[3])
		addr = prefix.Addr()
		return err
	})
	return addr, err
}
