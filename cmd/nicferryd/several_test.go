package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/store/etcdstore/etcdtest"
	"github.com/nicferry/nicferry/nic"
)

// asProgram has the test binary be nicferryd.
const asProgram = "NICFERRYD_OF_A_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// severalConfig is of a controller on etcd, whose nodes make the NICs.
const severalConfig = `version: 1
socket: %[1]s
socketGroup: root
store: {kind: etcd, endpoints: [%[2]s]}
metrics: {address: ""}
providers:
  - {name: local, kind: local, local: {slots: 64}}
networks:
  - name: fixed
    provider: local
    addressing: ipam
    veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}
    subnets: [{prefix: 10.77.0.0/16, gateway: 10.77.0.1, ranges: [10.77.1.0-10.77.1.255]}]
`

// A controller is a nicferryd of its own, which is started again when it ends, as by
// systemd: on a machine that is busy enough any may lose its term.
type controller struct {
	t           *testing.T
	config, log string
	socket      string
	ended       chan struct{} // closed when it is not started again
	mu          sync.Mutex
	cmd         *exec.Cmd
	ends        int // how often it has ended
	last        error
	killed      bool
}

func startController(t *testing.T, name string, etcd *etcdtest.Cluster) *controller {
	t.Helper()
	dir := t.TempDir()
	c := &controller{t: t, config: filepath.Join(dir, name+".yaml"), socket: filepath.Join(dir, "s"), log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	if err := os.WriteFile(c.config, fmt.Appendf(nil, severalConfig, c.socket, strings.Join(etcd.Endpoints, ", ")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.spawn(); err != nil {
		t.Fatal(err)
	}
	go c.supervise()
	t.Cleanup(func() {
		c.kill()
		<-c.ended
		if t.Failed() {
			t.Logf("%s:\n%s", name, c.said())
		}
	})
	return c
}

func (c *controller) spawn() error {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	c.cmd = exec.Command(os.Args[0], "--config", c.config)
	c.cmd.Env = append(os.Environ(), asProgram+"=1")
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c.cmd.Start()
}

func (c *controller) supervise() {
	defer close(c.ended)
	for {
		err := c.cmd.Wait()
		c.mu.Lock()
		c.ends, c.last = c.ends+1, err
		over := c.killed
		if !over {
			if err := c.spawn(); err != nil {
				c.t.Error(err)
				over = true
			}
		}
		c.mu.Unlock()
		if over {
			return
		}
	}
}

// kill ends it for good.
func (c *controller) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	_ = c.cmd.Process.Kill() // it may have ended
}

func (c *controller) signal(sig os.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.t.Errorf("signal: %v", err)
	}
}

// endings is how often it has ended, and with what the last time.
func (c *controller) endings() (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ends, c.last
}

func (c *controller) said() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		c.t.Error(err)
	}
	return string(text)
}

// soon repeats what must come true in good time, also on a slow machine.
func soon(t *testing.T, what string, try func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	err := try()
	for deadline := time.Now().Add(3 * time.Minute); err != nil && time.Now().Before(deadline); err = try() {
		<-tick.C
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// leads says whether the controller works.
func (c *controller) leads(t *testing.T) error {
	api, err := client.Open(client.Options{Addresses: []string{"unix://" + c.socket}, Retries: -1})
	if err != nil {
		return err
	}
	defer api.Close()
	_, err = api.Claims(t.Context())
	return err
}

// An agent does what is wanted of a node, as the real one says it.
type agent struct {
	name    string
	api     *client.Client
	session uint64
}

// join makes an agent that knows both controllers.
func join(t *testing.T, name string, controllers ...*controller) *agent {
	t.Helper()
	var addresses []string
	for _, c := range controllers {
		addresses = append(addresses, "unix://"+c.socket)
	}
	api, err := client.Open(client.Options{Addresses: addresses})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	a := &agent{name: name, api: api}
	soon(t, name+" says hello", func() error {
		node, err := api.Hello(t.Context(), name, nic.Inventory{Boot: "1", Kernel: "k", Docker: "d", AgentVersion: "a"})
		a.session = node.Session
		return err
	})
	return a
}

// work reports each NIC as made and in, until ctx ends; while no controller answers it
// asks on.
func (a *agent) work(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ; ctx.Err() == nil; <-tick.C {
		wanted, _, err := a.api.Wanted(ctx, a.name, a.session)
		if err != nil {
			continue
		}
		var news []nic.Observed
		for _, w := range wanted {
			if w.NIC == "" || w.Device.Kind == "" && !w.Gone {
				continue
			}
			o := nic.Observed{NIC: w.NIC, Claim: w.Claim, Epoch: w.Epoch, Turn: w.Turn, MAC: w.Device.MAC, State: nic.ObservedMade, At: time.Now().UTC()}
			if w.Gone {
				o.State = nic.ObservedClean
			} else if w.Owner.Sandbox != "" {
				o.State, o.Running, o.Addrs = nic.ObservedIn, true, w.Layer3.Addrs
			}
			news = append(news, o)
		}
		if len(news) > 0 {
			_ = a.api.Report(ctx, a.name, nic.NodeReport{Session: a.session, NICs: news}) // the same again, else
		}
	}
}

// start asks for the NIC of a container until somebody has heard it.
func (a *agent) start(t *testing.T, number int) {
	owner := nic.Owner{Node: a.name, Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", number), Interface: "eth0"}
	soon(t, fmt.Sprintf("container %d asks", number), func() error {
		_, err := a.api.Acquire(t.Context(), owner, fmt.Sprint("c", number), nic.Request{Interface: "eth0", Network: "fixed", DefaultRoute: true})
		return err
	})
}

// bound wants that many claims to have a NIC, with an address that no other has.
func (a *agent) bound(t *testing.T, want int) error {
	claims, err := a.api.Claims(t.Context())
	if err != nil {
		return err
	}
	n := 0
	has := map[string]nic.ClaimID{}
	for _, c := range claims {
		if c.Phase != nic.ClaimBound {
			continue
		}
		n++
		for _, what := range []string{string(c.NIC), c.Identity.MAC.String(), fmt.Sprint(c.Identity.Addrs)} {
			if other, twice := has[what]; twice {
				t.Errorf("claims %s and %s both have %s", c.ID, other, what)
			}
			has[what] = c.ID
		}
	}
	if n < want {
		return fmt.Errorf("%d of %d claims, of %d wanted, are bound", n, len(claims), want)
	}
	return nil
}

// Of two controllers on etcd the one that leads is killed, or frozen and then woken,
// while 50 containers start: the other one takes over, all 50 come up, with a NIC each
// and no more, and what the frozen one was at is refused.
func TestLeaderLostWhileContainersStart(t *testing.T) {
	t.Parallel()
	for how, strike := range map[string]func(*controller){
		"killed": (*controller).kill,
		"frozen": func(c *controller) { c.signal(syscall.SIGSTOP) },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			const nodes, each = 5, 10
			etcd := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t)})
			first := startController(t, "first", etcd)
			soon(t, "the first leads", func() error { return first.leads(t) })
			second := startController(t, "second", etcd)
			soon(t, "the second stands by", func() error {
				if err := second.leads(t); err == nil || !strings.Contains(err.Error(), "stands by") {
					return fmt.Errorf("got %v", err)
				}
				return nil
			})
			ctx, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			defer wg.Wait()
			defer stop()
			var agents []*agent
			for i := range nodes {
				a := join(t, fmt.Sprint("node", i), first, second)
				agents = append(agents, a)
				wg.Go(func() { a.work(ctx) })
			}
			var starts sync.WaitGroup
			for i, a := range agents {
				starts.Go(func() {
					for j := range each {
						a.start(t, i*each+j)
					}
				})
			}
			soon(t, "some are up", func() error { return agents[0].bound(t, 5) })
			before, _ := first.endings()
			strike(first)
			begin := time.Now()
			soon(t, "the second leads", func() error { return second.leads(t) })
			t.Logf("%s: the other one serves after %s", how, time.Since(begin).Round(10*time.Millisecond))
			starts.Wait()
			soon(t, "all are up", func() error { return agents[0].bound(t, nodes*each) })
			if how == "frozen" {
				first.signal(syscall.SIGCONT)
				soon(t, "the frozen one ends", func() error {
					if ends, last := first.endings(); ends == before || last == nil {
						return fmt.Errorf("it ended %d times, %d before it was frozen: %v", ends, before, last)
					}
					return nil
				})
			}
			soon(t, "all are up still", func() error { return agents[0].bound(t, nodes*each) })
			nics, err := agents[0].api.NICs(t.Context())
			if err != nil || len(nics) != nodes*each {
				t.Errorf("%d NICs for %d containers, %v", len(nics), nodes*each, err)
			}
		})
	}
}
