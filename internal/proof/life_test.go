package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
	"github.com/nicferry/nicferry/provider/local"
)

const (
	// pollEvery is how often children look at NICs in transition.
	pollEvery = 10 * time.Millisecond
	// lifeHold is how long a stopped container keeps its NIC in a life.
	lifeHold = 50 * time.Millisecond
	// lifeCooldown is how long a NIC of a pool cools down in a life.
	lifeCooldown = 20 * time.Millisecond
	// stepTime bounds each step of a life, restarts of the child included.
	stepTime = 60 * time.Second
)

// lifeNetworks have NICs that suit a cloud and a node that makes them. The first
// keeps some in reserve, if pool says so, and the second never does.
func lifeNetworks(pool nic.Pool, public bool) []nic.Network {
	life := nic.Network{
		Name: "life", Provider: cloudName, Addressing: nic.AddrIPAM, Space: "default", Hold: nic.Duration(lifeHold),
		Device: nic.Device{Kind: nic.Veth, Bridge: nic.Bridge{Name: "br0"}},
		Subnets: []nic.Subnet{{
			Prefix: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1"),
			Ranges: []nic.Range{{First: netip.MustParseAddr("10.0.0.10"), Last: netip.MustParseAddr("10.0.0.19")}},
		}},
	}
	life.Cloud.PublicIP = public
	other := life
	other.Name = "other"
	if life.Pool = pool; pool.Max > 0 {
		life.Cooldown = nic.Duration(lifeCooldown)
	}
	return []nic.Network{life, other}
}

// A kind of life: which provider makes the NICs, whether some are kept in
// reserve, whether the container moves to another node, whether it has a public
// address, and whether containers share NICs.
type kind struct{ local, pooled, moved, public, shared bool }

func (k kind) String() string {
	name := "cloud"
	if k.local {
		name = "local"
	}
	if k.pooled {
		name += " with a pool"
	}
	if k.moved {
		name += " moved"
	}
	if k.public {
		name += " in public"
	}
	if k.shared {
		name += " shared"
	}
	return name
}

// A life is that of one container, under a controller that is killed. The node
// and the cloud live in the test and outlive the controller.
type life struct {
	kind   kind
	job    job
	cloud  *fake.Provider // nil with a local provider
	listen net.Listener
	agent  *agent
	there  *agent        // where the container moves to, else nil
	pace   time.Duration // of the agent

	kills  []string // the points to die at, whichever comes first, and once at each
	hits   []string // where it died
	child  *exec.Cmd
	exited chan error
	client *rpc.Client
}

func newLife(t *testing.T, of kind, kills ...string) *life {
	t.Helper()
	dir, err := os.MkdirTemp("", "nicferry-proof-")
	if err != nil {
		t.Fatal(err)
	}
	l := &life{kind: of, agent: newAgent("vm1"), kills: kills}
	l.job = job{
		Store: filepath.Join(dir, "db"), Serve: filepath.Join(dir, "ctl"), Cloud: filepath.Join(dir, "cloud"),
		Points: filepath.Join(dir, "points"), Local: of.local, Public: of.public, Shared: of.shared,
	}
	if of.pooled {
		l.job.Slots = poolSlots
	}
	if of.moved {
		l.there = newAgent("vm2")
	}
	t.Cleanup(func() {
		l.end()
		if l.listen != nil {
			l.listen.Close()
		}
		os.RemoveAll(dir)
	})
	if of.local {
		return l
	}
	addrs := 1
	if of.shared {
		addrs = 3
	}
	l.cloud = fake.New(fake.Options{Name: cloudName, NICsPerInstance: l.job.Slots, AddrsPerNIC: addrs, DrawsMACs: of.shared, Latency: fake.Latency{
		Create: 15 * time.Millisecond, Attach: 15 * time.Millisecond, Detach: 15 * time.Millisecond, Delete: 15 * time.Millisecond,
	}})
	if of.moved {
		for _, a := range l.agents() {
			a.plugged = func(id nic.ID) bool {
				return slices.ContainsFunc(latest(l.cloud), func(s nic.Seen) bool {
					return s.NIC == id && s.State == nic.StateAttached && s.Place.Instance == nic.InstanceID(a.node)
				})
			}
		}
	}
	if err := l.serveCloud(); err != nil {
		t.Fatal(err)
	}
	return l
}

// agents are those of all nodes.
func (l *life) agents() []*agent {
	if l.there == nil {
		return []*agent{l.agent}
	}
	return []*agent{l.agent, l.there}
}

func (l *life) serveCloud() (err error) {
	if l.listen, err = net.Listen("unix", l.job.Cloud); err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Cloud", &servedCloud{l.cloud}); err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.listen.Accept()
			if err != nil {
				return
			}
			go server.ServeCodec(jsonrpc.NewServerCodec(conn))
		}
	}()
	return nil
}

// start starts a child, which dies at the first of the kills that it comes to.
func (l *life) start() error {
	l.job.Kills = l.kills
	text, err := json.Marshal(l.job)
	if err != nil {
		return err
	}
	if err := os.Remove(l.job.Serve); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	log, err := os.OpenFile(l.job.Points+".log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	l.child = exec.Command(os.Args[0])
	l.child.Env = append(os.Environ(), childEnv+"="+string(text))
	l.child.Stderr = log
	l.child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.child.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	l.exited = exited
	go func(c *exec.Cmd) { exited <- c.Wait() }(l.child)
	return nil
}

// end ends the child, if there is one.
func (l *life) end() {
	if l.client != nil {
		l.client.Close()
		l.client = nil
	}
	if l.child != nil {
		l.child.Process.Kill()
		<-l.exited
		l.child = nil
	}
}

// serve sees to it that there is a child, and says whether it answers. When one
// has died where it was to die, everything is looked at before the next.
func (l *life) serve() (bool, error) {
	if l.child == nil {
		return false, l.start()
	}
	select {
	case err := <-l.exited:
		l.child = nil
		if l.client != nil {
			l.client.Close()
			l.client = nil
		}
		point, _ := os.ReadFile(l.job.died())
		at := slices.Index(l.kills, string(point))
		status, ok := errors.AsType[*exec.ExitError](err)
		if !ok || status.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL || at < 0 {
			text, _ := os.ReadFile(l.job.Points + ".log")
			return false, fmt.Errorf("the controller ended by itself: %v\n%s", err, text)
		}
		l.kills, l.hits = slices.Delete(l.kills, at, at+1), append(l.hits, string(point))
		return false, l.check()
	default:
	}
	if l.client == nil {
		client, err := jsonrpc.Dial("unix", l.job.Serve)
		if err != nil {
			return false, nil // not yet
		}
		l.client = client
	}
	return true, nil
}

// step works on the node until all is as wanted.
func (l *life) step(what string, is func(Sight) bool) error {
	for end := time.Now().Add(stepTime); time.Now().Before(end); time.Sleep(l.pace) {
		answers, err := l.serve()
		if err != nil {
			return fmt.Errorf("until %s: %w", what, err)
		}
		if !answers {
			continue
		}
		far := farController{l.client}
		for _, a := range l.agents() {
			if err := a.work(context.Background(), far); err != nil {
				return fmt.Errorf("until %s: %w", what, err)
			}
		}
		if now, err := far.Look(); err == nil && is(now) {
			return nil
		}
	}
	text, _ := os.ReadFile(l.job.Points + ".log")
	return fmt.Errorf("not %s within %s; the controller says\n%s", what, stepTime, text)
}

// live leads containers from their start to their removal, and demands that
// nothing is left.
func (l *life) live() error {
	lead, made := l.alone, 2
	switch {
	case l.kind.pooled:
		lead, made = l.fromPool, 3
	case l.kind.moved:
		lead, made = l.toAndFro, 1
	case l.kind.shared:
		lead, made = l.onSeats, 3
	}
	if err := lead(); err != nil {
		return err
	}
	l.end()
	if err := l.check(); err != nil {
		return err
	}
	return l.dead(func(s store.Store, left []nic.Seen) error {
		for _, a := range l.agents() {
			if len(a.links) > 0 {
				return fmt.Errorf("left on the node: %v", a.links)
			}
		}
		if l.cloud != nil {
			if got := l.cloud.Counts()[fake.OpCreate].Effects; got != made {
				return fmt.Errorf("%d NICs were made, want %d", got, made)
			}
			if left := l.cloud.Public(); len(left) > 0 {
				return fmt.Errorf("left in the cloud: public addresses %v", left)
			}
			if got := l.cloud.Counts()[fake.OpPublish].Effects; l.kind.public && got != made {
				return fmt.Errorf("a public address was made or led elsewhere %d times, want %d", got, made)
			}
		}
		return empty(s, left)
	})
}

// alone is the life of one container.
func (l *life) alone() error {
	of := l.agent.run(1, nic.Request{Network: "life"})
	bound := func(s Sight) bool {
		return s.bound() == 1 && (!l.kind.public || l.leads(s.Claims[0]))
	}
	if err := l.step("bound", bound); err != nil {
		return err
	}
	of.running = false
	if err := l.step("given back after the hold", func(s Sight) bool { return len(s.Claims) == 1 && s.Claims[0].NIC == "" }); err != nil {
		return err
	}
	of.running = true
	if err := l.step("bound again", bound); err != nil {
		return err
	}
	of.running, of.gone = false, true
	return l.step("gone", func(s Sight) bool { return len(s.Claims) == 0 && s.Public == 0 })
}

// leads says whether the world reaches the claim by its public address.
func (l *life) leads(claim nic.Claim) bool {
	public := l.cloud.Public()[claim.ID]
	return public.NIC == claim.NIC && public.Addr.IsValid() && public.Addr == claim.Identity.Public
}

// bound counts the claims that are.
func (s Sight) bound() (n int) {
	for _, claim := range s.Claims {
		if claim.Phase == nic.ClaimBound {
			n++
		}
	}
	return n
}

// check holds what the dead controller has left against what must always hold.
func (l *life) check() error {
	return l.dead(func(s store.Store, nics []nic.Seen) error {
		records, err := allocator.ReadRecords(context.Background(), s)
		if err != nil {
			return err
		}
		var public map[nic.ClaimID]netip.Addr
		if l.cloud != nil {
			if public, err = l.cloud.Published(context.Background()); err != nil {
				return err
			}
		}
		return invariant.Error(invariant.Check(invariant.World{
			Now: time.Now(), Records: records, Nodes: links(l.agents()),
			Providers: map[string]invariant.Provider{cloudName: {NICs: nics, Public: public}},
		}))
	})
}

// dead looks into the store of a dead controller, and at the provider.
func (l *life) dead(look func(store.Store, []nic.Seen) error) error {
	ctx := context.Background()
	s, err := boltstore.Open(ctx, l.job.Store, boltstore.Options{NoSync: true})
	if err != nil {
		return err
	}
	defer s.Close()
	if l.cloud != nil {
		return look(s, latest(l.cloud))
	}
	p, err := local.New(local.Options{
		Name: cloudName, Ledger: allocator.NewLedger(s, cloudName), Nodes: allocator.NewNodes(s, cloudName),
	})
	if err != nil {
		return err
	}
	nics, err := p.List(ctx)
	return errors.Join(err, look(s, nics))
}

// points are those that the life has passed, each once, in order.
func (l *life) points() ([]string, error) {
	text, err := os.ReadFile(l.job.Points)
	return distinct(string(text)), err
}
