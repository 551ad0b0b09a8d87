//go:build linux

package vmagent_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
	"github.com/nicferry/nicferry/provider/local"
	"github.com/nicferry/nicferry/vmagent"
	"github.com/nicferry/nicferry/vmagent/containers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An engine is a container engine in memory, whose containers have real
// network namespaces.
type engine struct {
	mu     sync.Mutex
	all    map[string]containers.Container
	spaces map[string]*netns.Namespace
	wake   func(string)
	deaf   bool // it answers nothing
	blind  bool // it has forgotten its containers, as after a start over an empty data root
}

func newEngine() *engine {
	return &engine{all: map[string]containers.Container{}, spaces: map[string]*netns.Namespace{}}
}

func (e *engine) Get(_ context.Context, id string) (containers.Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.all[id]
	if e.deaf {
		return c, errors.New("the engine is busy")
	}
	if !ok || e.blind {
		return c, fmt.Errorf("container %.12s: %w", id, containers.ErrNotFound)
	}
	return c, nil
}

func (e *engine) List(context.Context) ([]containers.Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.blind {
		return nil, nil
	}
	return slices.Collect(maps.Values(e.all)), nil
}

func (e *engine) Watch(ctx context.Context, wake func(string), resync func()) {
	e.mu.Lock()
	e.wake = wake
	e.mu.Unlock()
	resync()
	<-ctx.Done()
}

func (e *engine) Namespace(_ context.Context, c containers.Container) (*netns.Namespace, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ns := e.spaces[c.ID]
	if ns == nil {
		return nil, containers.ErrGone
	}
	return netns.Open(fmt.Sprintf("/proc/self/fd/%d", ns.FD()))
}

// change edits the engine's world and sends an event.
func (e *engine) change(id string, edit func()) {
	e.mu.Lock()
	edit()
	wake := e.wake
	e.mu.Unlock()
	if wake != nil {
		wake(id)
	}
}

// run starts a container, new or stopped, in a new namespace.
func (e *engine) run(t *testing.T, id string, labels map[string]string) *netns.Namespace {
	t.Helper()
	ns := e.space(t)
	e.runIn(ns, id, os.Getpid(), labels)
	return ns
}

// space is a namespace for containers. When the test ends the engine lets go of
// it before it is closed, since the agent may still ask.
func (e *engine) space(t *testing.T) *netns.Namespace {
	t.Helper()
	ns := netnstest.New(t)
	t.Cleanup(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		maps.DeleteFunc(e.spaces, func(_ string, s *netns.Namespace) bool { return s == ns })
	})
	return ns
}

// runIn starts a container with that process in a namespace that is there.
func (e *engine) runIn(ns *netns.Namespace, id string, pid int, labels map[string]string) {
	e.change(id, func() {
		e.spaces[id] = ns
		e.all[id] = containers.Container{
			ID: id, Name: "c" + id[60:], Labels: labels, NetworkMode: "none", Running: true, PID: pid, StartedAt: time.Now(),
		}
	})
}

// die ends the container's process; the engine no longer holds its namespace.
func (e *engine) die(id string) {
	e.change(id, func() {
		c := e.all[id]
		c.Running, c.PID = false, 0
		e.all[id] = c
		e.spaces[id].Close()
		delete(e.spaces, id)
	})
}

func (e *engine) remove(id string) { e.change(id, func() { delete(e.all, id) }) }

// A rig is a node with an agent, and the real controller beside it.
type rig struct {
	agent  *vmagent.Agent // the one that was started last
	t      *testing.T
	host   *netns.Namespace
	engine *engine
	alloc  *allocator.Allocator
	cloud  *fake.Provider // a hypervisor, whose NICs the test has come up
	dir    string
	boot   string
	away   *away
	ended  chan error // the agent's
	stop   func() error
}

// away is the wire to the controller, which can be cut.
type away struct {
	*allocator.Allocator
	mu    sync.Mutex
	cut   bool
	hangs bool // takes claims' requests and does not answer
	said  []nic.Observed
	asked int // how often for a claim of a container that has been started
	// session goes with all calls, as the real client has it.
	session uint64
	stale   map[string]int // calls that are refused as stale, so many more
	refused int            // that were, by whomever
}

// call is the context of a call of a method, or why it is refused.
func (a *away) call(ctx context.Context, method string) (context.Context, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stale[method] > 0 {
		a.stale[method]--
		a.refused++
		return ctx, fmt.Errorf("%s: it is %w, says the test", method, allocator.ErrStale)
	}
	return api.WithSession(ctx, a.session), nil
}

// answer counts what the controller refuses as stale.
func (a *away) answer(err error) error {
	if errors.Is(err, allocator.ErrStale) {
		a.mu.Lock()
		a.refused++
		a.mu.Unlock()
	}
	return err
}

var errAway = errors.New("controller is away")

func (a *away) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cut {
		return errAway
	}
	return nil
}

func (a *away) set(cut bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cut = cut
}

func (a *away) Hello(ctx context.Context, node string, inv nic.Inventory) (nic.Node, error) {
	if err := a.err(); err != nil {
		return nic.Node{}, err
	}
	n, err := a.Allocator.Hello(ctx, node, inv)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.session = n.Session
	}
	return n, err
}

func (a *away) Wanted(ctx context.Context, node string, session uint64) ([]nic.Wanted, uint64, error) {
	if err := a.err(); err != nil {
		return nil, 0, err
	}
	return a.Allocator.Wanted(ctx, node, session)
}

func (a *away) Report(ctx context.Context, node string, report nic.NodeReport) error {
	if err := a.err(); err != nil {
		return err
	}
	a.mu.Lock()
	a.said = append(a.said, report.NICs...)
	a.mu.Unlock()
	ctx, err := a.call(ctx, "report")
	if err == nil {
		err = a.answer(a.Allocator.Report(ctx, node, report))
	}
	return err
}

func (a *away) Acquire(ctx context.Context, owner nic.Owner, container string, req nic.Request) (nic.Claim, error) {
	a.mu.Lock()
	hangs := a.hangs
	if !req.Unstarted {
		a.asked++
	}
	a.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nic.Claim{}, ctx.Err()
	}
	ctx, err := a.call(ctx, "acquire")
	if err != nil {
		return nic.Claim{}, err
	}
	claim, err := a.Allocator.Acquire(ctx, owner, container, req)
	return claim, a.answer(err)
}

func (a *away) Release(ctx context.Context, id nic.ClaimID, epoch uint64) error {
	ctx, err := a.call(ctx, "release")
	if err == nil {
		err = a.answer(a.Allocator.Release(ctx, id, epoch))
	}
	return err
}

func (a *away) Watch(ctx context.Context, node string, after uint64, changed func(uint64)) error {
	ctx, err := a.call(ctx, "watch")
	if err != nil {
		return err
	}
	for {
		rev, err := a.WaitChange(ctx, node, after)
		if err != nil {
			return err
		}
		after = rev
		changed(rev)
	}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigWith(t, 0)
}

// newRigWith is newRig with a deadline for NICs that nobody sees; 0 is the default.
func newRigWith(t *testing.T, unseenAfter time.Duration) *rig {
	t.Helper()
	t.Parallel()
	host := netnstest.New(t)
	netnstest.Run(t, host, "ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire1")
	netnstest.Run(t, host, "ip", "link", "set", "wire0", "up")
	netnstest.Run(t, host, "ip", "link", "set", "wire1", "up")
	records := memstore.New(memstore.Options{})
	made, err := local.New(local.Options{
		Name: "local", Ledger: allocator.NewLedger(records, "local"), Nodes: allocator.NewNodes(records, "local"),
	})
	if err != nil {
		t.Fatal(err)
	}
	cloud := fake.New(fake.Options{Name: "cloud", NICsPerInstance: 64})
	alloc, err := allocator.New(allocator.Options{
		Store: records, Providers: map[string]provider.Provider{"local": made, "cloud": cloud}, Networks: networks(),
		TenantsOf: func(string) []string { return []string{nic.DefaultTenant, "other"} },
		Log:       slog.New(slog.DiscardHandler), UnseenAfter: unseenAfter,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := alloc.Run(ctx); err != nil {
			t.Errorf("allocator: %v", err)
		}
	})
	r := &rig{t: t, host: host, engine: newEngine(), alloc: alloc, cloud: cloud, dir: t.TempDir(), boot: "first", away: &away{Allocator: alloc}}
	r.start()
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("agent: %v", err)
		}
		cancel()
		wg.Wait()
		records.Close()
	})
	return r
}

func networks() []nic.Network {
	veth := nic.Device{Kind: nic.Veth, Bridge: nic.Bridge{Name: "nf-test", Owned: true}}
	subnet := nic.Subnet{
		Prefix: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1"),
		Ranges: []nic.Range{{First: netip.MustParseAddr("10.0.0.10"), Last: netip.MustParseAddr("10.0.0.99")}},
	}
	child := subnet
	child.Prefix, child.Gateway = netip.MustParsePrefix("10.1.0.0/24"), netip.Addr{}
	child.Ranges = []nic.Range{{First: netip.MustParseAddr("10.1.0.10"), Last: netip.MustParseAddr("10.1.0.99")}}
	plugged := subnet
	plugged.Prefix, plugged.Gateway = netip.MustParsePrefix("10.2.0.0/24"), netip.Addr{}
	plugged.Ranges = []nic.Range{{First: netip.MustParseAddr("10.2.0.10"), Last: netip.MustParseAddr("10.2.0.99")}}
	pool := nic.Pool{Max: 1, Idle: nic.Duration(time.Hour)}
	return []nic.Network{
		{Name: "plugged", Provider: "cloud", Addressing: nic.AddrIPAM, Space: "default", Hold: nic.Duration(time.Minute), Preplug: nic.Duration(time.Minute), Subnets: []nic.Subnet{plugged}},
		{Name: "veth", Provider: "local", Addressing: nic.AddrIPAM, Space: "default", Hold: nic.Duration(time.Minute), Preplug: nic.Duration(time.Minute), Subnets: []nic.Subnet{subnet}, Device: veth},
		{Name: "macvlan", Provider: "local", Addressing: nic.AddrIPAM, Space: "default", Hold: nic.Duration(time.Minute), Preplug: nic.Duration(time.Minute), Subnets: []nic.Subnet{child}, Device: nic.Device{Kind: nic.Macvlan, Parent: "wire0"}},
		{Name: "brief", Provider: "local", Addressing: nic.AddrIPAM, Space: "brief", Subnets: []nic.Subnet{subnet}, Device: veth}, // without a hold
		{Name: "pool", Provider: "local", Addressing: nic.AddrIPAM, Space: "pool", Tenants: []string{nic.DefaultTenant, "other"}, Hold: nic.Duration(time.Minute), Subnets: []nic.Subnet{subnet}, Device: veth, Pool: pool},
		{Name: "pool-plugged", Provider: "cloud", Addressing: nic.AddrIPAM, Space: "pool-plugged", Hold: nic.Duration(time.Minute), Subnets: []nic.Subnet{plugged}, Pool: pool},
		{Name: "dhcp", Provider: "local", Addressing: nic.AddrDHCP, Space: "default", Hold: nic.Duration(time.Minute), Preplug: nic.Duration(time.Minute), Device: veth},
	}
}

// start starts an agent over what an earlier one has left.
func (r *rig) start() {
	r.t.Helper()
	agent, err := vmagent.New(vmagent.Options{
		Node: "here", Inventory: nic.Inventory{Boot: r.boot}, Controller: r.away, Engine: r.engine, Host: r.host, RunDir: r.dir,
		Log:        slog.New(slog.DiscardHandler),
		Superseded: func(err error) bool { return errors.Is(err, allocator.ErrStale) },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.agent = agent
	ctx, cancel := context.WithCancel(r.t.Context())
	r.ended = make(chan error, 1)
	go func() { r.ended <- errors.Join(agent.Run(ctx), agent.Close()) }()
	r.stop = func() error {
		cancel()
		return <-r.ended
	}
}

// until waits for something that takes some milliseconds.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			claims, _ := r.alloc.Claims(r.t.Context(), "", 0)
			r.t.Fatalf("waited a minute for %s; claims are %+v", what, claims)
		}
	}
}

// claims are all claims there are, by their container's id.
func (r *rig) claims() map[string]nic.Claim {
	views, err := r.alloc.Claims(r.t.Context(), "", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[string]nic.Claim{}
	for _, v := range views {
		all[v.Owner.Sandbox] = v.Claim
	}
	return all
}

func (r *rig) bound(id string) nic.Claim {
	r.t.Helper()
	r.until("claim of "+id[60:]+" to be bound", func() bool { return r.claims()[id].Phase == nic.ClaimBound })
	return r.claims()[id]
}

// links of a namespace, as iproute2 shows them.
func (r *rig) links(ns *netns.Namespace) string {
	r.t.Helper()
	return netnstest.Run(r.t, ns, "ip", "-o", "addr")
}

// names of the links in the host namespace.
func (r *rig) names() string {
	r.t.Helper()
	var names []string
	for line := range strings.Lines(netnstest.Run(r.t, r.host, "ip", "-br", "link")) {
		names = append(names, strings.Fields(line)[0])
	}
	return strings.Join(names, " ")
}

func id(n int) string { return strings.Repeat("0", 60) + fmt.Sprintf("%04d", n) }
