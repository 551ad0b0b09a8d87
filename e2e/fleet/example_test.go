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
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/internal/store/etcdstore/etcdtest"
)

// An example is the machines of examples/etcd.
type example struct {
	t           *testing.T
	etcd        string
	controllers []*station
	vm1         *station
}

// A station is one of the machines.
type station struct {
	*lab.Node
	name    string
	addr    netip.Addr
	daemons *lab.Daemons

	member, nicferryd lab.Program // of a controller's machine
}

const etcdExample = "../../examples/etcd"

// The controller that works is switched off, with its member of etcd: another one gives a
// container its NIC. Without a majority of etcd containers keep theirs, whoever is asked
// says why there are no new ones, and those come when there is one again.
func TestEtcdExample(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	e := &example{t: t, etcd: etcdtest.Current(t)}
	for i := range 3 {
		e.controllers = append(e.controllers, e.start(fmt.Sprint("c", i+1), byte(i+1), lab.Options{NoEngine: true}))
	}
	e.vm1 = e.start("vm1", 11, lab.Options{})
	for _, c := range e.controllers {
		e.control(c)
	}
	leader := e.leader()
	_, err := e.vm1.Engine.Image(t.Context())
	e.do(err)
	e.join(leader)
	e.serves("web")
	e.do(leader.daemons.Kill(t.Context(), "etcd"))
	e.do(leader.daemons.Kill(t.Context(), fleet.Controller))
	e.serves("db")
	second := e.leader()
	if second == leader {
		t.Errorf("%s leads, which is off", second.name)
	}
	e.do(second.daemons.Kill(t.Context(), "etcd"))
	e.do(second.daemons.Ended(t.Context(), fleet.Controller, 1))
	e.do(second.daemons.Start(second.nicferryd)) // as systemd does
	e.soon("the store to be missed", func(ctx context.Context) error {
		if _, err := e.cli(ctx, second, "get", "nodes"); err == nil || !strings.Contains(err.Error(), "the store does not answer, nothing new begins") {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	e.starts("late")
	_, err = e.vm1.Docker(t.Context(), "exec", "db", "ping", "-c", "3", "-W", "5", e.address("web"))
	e.do(err)
	e.do(second.daemons.Start(second.member))
	e.address("late")
}

func (e *example) do(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// start makes a machine, which is on the first one's switch.
func (e *example) start(name string, number byte, opts lab.Options) *station {
	e.t.Helper()
	node, err := lab.Start(e.t.Context(), opts)
	e.do(err)
	e.t.Cleanup(func() {
		for _, of := range []string{fleet.Controller, fleet.Nicferry} {
			if text, err := os.ReadFile(filepath.Join(node.Dir(), of+".log")); err == nil && e.t.Failed() {
				e.t.Logf("%s on %s:\n%s", of, name, text)
			}
		}
		if err := node.Close(); err != nil {
			e.t.Error(err)
		}
	})
	s := &station{Node: node, name: name, addr: netip.AddrFrom4([4]byte{10, 0, 0, number}), daemons: node.Daemons()}
	link := netip.PrefixFrom(s.addr, 24)
	if len(e.controllers) == 0 {
		s.ip(e, "link add switch0 type bridge forward_delay 0")
		s.ip(e, "addr add "+link.String()+" dev switch0")
		s.ip(e, "link set switch0 up")
		return s
	}
	first := e.controllers[0]
	e.do(lab.Wire(e.t.Context(), lab.End{Node: first.Node, Link: "port-" + name}, lab.End{Node: node, Link: "mgmt0", Addr: link}))
	first.ip(e, "link set port-"+name+" master switch0")
	return s
}

func (s *station) ip(e *example, args string) {
	e.t.Helper()
	_, err := s.Run(e.t.Context(), "ip", strings.Fields(args)...)
	e.do(err)
}

func (s *station) file(name string) string { return filepath.Join(s.Dir(), name) }

// control starts what a controller's machine has, by the example's files. Machines of the
// lab share a file system: paths are the machine's own.
func (e *example) control(s *station) {
	e.t.Helper()
	text, err := os.ReadFile(filepath.Join(etcdExample, "etcd.env"))
	e.do(err)
	env := strings.NewReplacer("=NAME", "="+s.name, "ADDRESS", s.addr.String(), "/var/lib/etcd/nicferry", s.file("etcd")).Replace(string(text))
	var vars []string
	for line := range strings.Lines(env) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			vars = append(vars, line)
		}
	}
	s.member = lab.Program{Name: "etcd", Args: []string{e.etcd, "--unsafe-no-fsync"}, Env: vars}
	e.do(s.daemons.Start(s.member))
	text, err = os.ReadFile(filepath.Join(etcdExample, "nicferryd.yaml"))
	e.do(err)
	config := s.file("nicferryd.yaml")
	e.do(os.WriteFile(config, fmt.Appendf(text, "socket: %s\nsocketGroup: root\n", s.file("sock")), 0o600))
	s.nicferryd = lab.Program{Name: fleet.Controller, Args: []string{filepath.Join(bin, "nicferryd"), "--config", config}}
	e.do(s.daemons.Start(s.nicferryd))
}

func (e *example) cli(ctx context.Context, s *station, args ...string) (string, error) {
	return s.Run(ctx, filepath.Join(bin, "nicferry"), append([]string{"--controller", "unix://" + s.file("sock")}, args...)...)
}

func (e *example) soon(what string, ask func(context.Context) error) {
	e.t.Helper()
	e.do(lab.Until(e.t.Context(), what, patience, pause, ask))
}

// leader waits until one works and the others that run say so.
func (e *example) leader() (leader *station) {
	e.t.Helper()
	e.soon("one to lead", func(ctx context.Context) error {
		var errs []error
		for _, c := range e.controllers {
			if c.daemons.Process(fleet.Controller) == nil {
				continue
			}
			switch _, err := e.cli(ctx, c, "get", "nodes"); {
			case err == nil:
				leader = c
			case !strings.Contains(err.Error(), "stands by"):
				return err
			default:
				errs = append(errs, err)
			}
		}
		if leader == nil {
			return errors.Join(errs...)
		}
		return nil
	})
	return leader
}

// join gives the node the addresses of all.
func (e *example) join(leader *station) {
	e.t.Helper()
	token, err := e.cli(e.t.Context(), leader, "token", "create", "--node", "vm1")
	e.do(err)
	var addresses []string
	for _, c := range e.controllers {
		addresses = append(addresses, c.addr.String()+":7460")
	}
	agent, identity := filepath.Join(bin, "nicferry-agent"), e.vm1.file("identity")
	cmd := e.vm1.Command(e.t.Context(), agent, "join", "--identity-dir", identity, strings.Join(addresses, ","), "-")
	cmd.Stdin = strings.NewReader(token)
	if out, err := cmd.CombinedOutput(); err != nil {
		e.t.Fatalf("join: %v\n%s", err, out)
	}
	config := e.vm1.file("agent.yaml")
	text := fmt.Sprintf("version: 1\nidentityDir: %s\ndocker: {socket: %s}\nrunDir: %s\n", identity, e.vm1.Engine.Socket(), e.vm1.file("agent"))
	e.do(os.WriteFile(config, []byte(text), 0o600))
	e.do(e.vm1.daemons.Start(lab.Program{Name: fleet.Nicferry, Args: []string{agent, "--config", config}}))
}

// serves starts a container, which must get its NIC.
func (e *example) serves(name string) {
	e.t.Helper()
	e.starts(name)
	e.address(name)
}

func (e *example) starts(name string) {
	e.t.Helper()
	_, err := e.vm1.Docker(e.t.Context(), "run", "-d", "--init", "--network", "none", "--label", "nicferry.network=lab", "--name", name, lab.ImageName)
	e.do(err)
}

// address waits until the container has one.
func (e *example) address(name string) (addr string) {
	e.t.Helper()
	e.soon("the NIC of "+name, func(ctx context.Context) error {
		out, err := e.vm1.Docker(ctx, "exec", name, "ip", "-o", "-4", "addr", "show", "dev", "eth0")
		if err != nil {
			return err
		}
		_, after, _ := strings.Cut(out, " inet ")
		if addr, _, _ = strings.Cut(after, "/"); !strings.HasPrefix(addr, "10.77.0.") {
			return fmt.Errorf("got %q", out)
		}
		return nil
	})
	return addr
}
