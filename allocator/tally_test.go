package allocator_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// tallied keeps what an allocator tells: how often, and of its claims and NICs
// how many.
type tallied struct {
	mu  sync.Mutex
	all map[string]int
}

func newTallied() *tallied { return &tallied{all: map[string]int{}} }

func (c *tallied) add(n int, what ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[fmt.Sprintln(what...)] += n
}

func (c *tallied) Stepped(step string, took time.Duration) {
	if took < 0 {
		c.add(1, "negative", step)
	}
	c.add(1, "step", step)
}

func (c *tallied) Called(provider, verb, result string, _ time.Duration) {
	c.add(1, "call", provider, verb, result)
}

func (c *tallied) Throttled(provider, verb string)          { c.add(1, "throttled", provider, verb) }
func (c *tallied) Waited(provider, verb string)             { c.add(1, "waited", provider, verb) }
func (c *tallied) Committed(result string, _ time.Duration) { c.add(1, "commit", result) }
func (c *tallied) Refused(reason nic.Reason)                { c.add(1, "refused", reason) }
func (c *tallied) Found(kind string)                        { c.add(1, "found", kind) }
func (c *tallied) Mended(kind string)                       { c.add(1, "mended", kind) }

func (c *tallied) Claims(phase nic.ClaimPhase, network, tenant string, n int) {
	c.add(n, "claims", phase, network)
}
func (c *tallied) NICs(phase nic.Phase, network string, n int) { c.add(n, "nics", phase, network) }
func (c *tallied) Nodes(phase nic.NodePhase, n int)            { c.add(n, "nodes", phase) }
func (c *tallied) Pool(network string, wanted int)             { c.add(wanted, "pool", network) }
func (c *tallied) Leading(leads bool)                          { c.add(1, "leads", leads) }

func (c *tallied) of(what ...any) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[fmt.Sprintln(what...)]
}

// wants checks how often each thing was told.
func (c *tallied) wants(t *testing.T, n int, what ...any) {
	t.Helper()
	if got := c.of(what...); got != n {
		t.Errorf("%v: told %d times, want %d; told in all: %q", what, got, n, slices.Sorted(maps.Keys(c.all)))
	}
}

// What the allocator has is tallied from memory, and is what its store has, also
// after a restart.
func TestTallyIsWhatTheStoreHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := newTallied()
		cloud := fake.New(fake.Options{})
		r := &rig{t: t, store: memstore.New(memstore.Options{}), cloud: cloud}
		pooled := networks()
		pooled[2].Pool = nic.Pool{Min: 1, Max: 2}
		opts := allocator.Options{Store: r.store, Providers: map[string]provider.Provider{"fake": cloud}, Networks: pooled, Observer: told}
		r.startWith(opts)
		var err error
		if r.node, err = r.alloc.Hello(t.Context(), "vm1", nic.Inventory{Boot: "b1"}); err != nil {
			t.Fatal(err)
		}
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Minute)
		r.report(claim, nic.ObservedMade, false)
		r.report(claim, nic.ObservedIn, true)
		r.acquire("0002", "nowhere")
		r.wait(time.Minute)
		check := func() {
			t.Helper()
			now := newTallied()
			r.alloc.Tally(now)
			now.wants(t, 1, "claims", nic.ClaimBound, "web")
			now.wants(t, 1, "claims", nic.ClaimRefused, "nowhere")
			now.wants(t, 1, "nics", nic.PhaseHeld, "web")
			now.wants(t, 1, "nics", nic.PhaseSpare, "lab")
			now.wants(t, 1, "nodes", nic.NodeReady)
			now.wants(t, 1, "pool", "lab")
			now.wants(t, 1, "leads", true)
		}
		check()
		told.wants(t, 1, "refused", nic.ReasonUnknownNetwork)
		told.wants(t, 2, "call", "fake", "create", "ok")
		for _, step := range []nic.StepName{nic.StepPlaced, nic.StepAttached, nic.StepBound} {
			if told.of("step", step) == 0 {
				t.Errorf("no time of step %s", step)
			}
		}
		if told.of("commit", "ok") == 0 {
			t.Error("no commit is told")
		}
		r.stop()
		now := newTallied()
		r.alloc.Tally(now)
		now.wants(t, 1, "leads", false)
		if len(now.all) != 1 {
			t.Errorf("one that does not lead counts: %v", now.all)
		}
		r.startWith(opts)
		r.wait(time.Second)
		check()
		told.wants(t, 1, "refused", nic.ReasonUnknownNetwork) // no news
		r.alloc.Release(t.Context(), claim.ID, claim.Epoch)
		r.report(claim, nic.ObservedClean, false)
		r.wait(2 * time.Minute)
		now = newTallied()
		r.alloc.Tally(now)
		now.wants(t, 0, "claims", nic.ClaimBound, "web")
		now.wants(t, 1, "nodes", nic.NodeSilent)
		now.wants(t, 0, "pool", "lab")
		r.stop()
		r.store.Close()
	})
}

// A call that is throttled, and a NIC that waits for its turn because of it, are
// told; and what the provider can beside the contract is seen through all that
// is around it.
func TestCallsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := newTallied()
		cloud := fake.New(fake.Options{})
		r := &rig{t: t, store: memstore.New(memstore.Options{}), cloud: cloud}
		via := &throttling{Provider: cloud}
		r.startWith(allocator.Options{Store: r.store, Providers: map[string]provider.Provider{"fake": via}, Networks: networks(), Observer: told})
		var err error
		if r.node, err = r.alloc.Hello(t.Context(), "vm1", nic.Inventory{Boot: "b1"}); err != nil {
			t.Fatal(err)
		}
		r.wants(r.acquire("0001", "lab").ID, nic.ClaimReady, time.Minute)
		told.wants(t, 1, "call", "fake", "create", "throttled")
		told.wants(t, 1, "throttled", "fake", "create")
		told.wants(t, 1, "call", "fake", "create", "ok")
		if told.of("waited", "fake", "create") == 0 {
			t.Error("nobody waited for a turn")
		}
		if !via.hinted() {
			t.Error("the provider's hints are not heard")
		}
		r.stop()
		r.store.Close()
	})
}

// throttling refuses the first create, and gives hints.
type throttling struct {
	provider.Provider
	mu    sync.Mutex
	calls int
	heard bool
}

func (p *throttling) Create(ctx context.Context, spec nic.Spec) (nic.Seen, error) {
	p.mu.Lock()
	p.calls++
	first := p.calls == 1
	p.mu.Unlock()
	if first {
		return nic.Seen{}, &provider.Error{Kind: provider.ErrThrottled, Provider: "fake", Op: "create", Err: errors.New("slow down")}
	}
	return p.Provider.Create(ctx, spec)
}

func (p *throttling) Hints(ctx context.Context, _ func(nic.ID)) {
	p.mu.Lock()
	p.heard = true
	p.mu.Unlock()
	<-ctx.Done()
}

func (p *throttling) hinted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard
}

// Ready says in words what keeps the allocator from serving.
func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := memstore.New(memstore.Options{})
		r := &rig{t: t, store: records, cloud: fake.New(fake.Options{}), networks: networks()}
		r.start()
		r.wait(time.Second)
		if err := r.alloc.Ready(t.Context()); err != nil {
			t.Errorf("while it leads: %v", err)
		}
		follower, err := allocator.New(allocator.Options{Store: records, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := follower.Ready(t.Context()); err == nil {
			t.Error("ready before it runs")
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- follower.Run(ctx) }()
		r.wait(time.Second)
		if err := follower.Ready(t.Context()); err != nil {
			t.Errorf("while it follows: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.stop()
		if err := r.alloc.Ready(t.Context()); err == nil {
			t.Error("ready after it has ended")
		}
		records.Close()
	})
}

// A store that goes away under a living allocator makes it unready, in words.
func TestReadyWithoutAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := &vanishing{Store: memstore.New(memstore.Options{})}
		r := &rig{t: t, store: gone, cloud: fake.New(fake.Options{}), networks: networks()}
		r.start()
		r.wait(time.Second)
		if err := r.alloc.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		gone.away.Store(true)
		if err := r.alloc.Ready(t.Context()); !errors.Is(err, allocator.ErrStore) || !errors.Is(err, errVanished) {
			t.Errorf("without a store: %v", err)
		}
		gone.away.Store(false)
		if err := r.alloc.Ready(t.Context()); err != nil {
			t.Errorf("it is back: %v", err)
		}
		r.stop()
		gone.Store.Close()
	})
}

var errVanished = errors.New("input/output error")

// vanishing is a store that answers nothing while it is away.
type vanishing struct {
	store.Store
	away atomic.Bool
}

func (v *vanishing) Get(ctx context.Context, key string) (store.Record, error) {
	if v.away.Load() {
		return store.Record{}, errVanished
	}
	return v.Store.Get(ctx, key)
}
