package proof

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A jealous provider sees to it that no NIC is unplugged or deleted that is
// given out. A record leaves returning for retiring alone, unless its pool is
// still to decide on it, so what it reads at the moment of the call is no race.
type jealous struct {
	provider.Provider
	records store.Store

	shed atomic.Int64 // calls for NICs that nobody had

	mu    sync.Mutex
	wrong []string
}

func (j *jealous) check(ctx context.Context, op string, id nic.ID) {
	n, _, err := store.GetJSON[nic.NIC](ctx, j.records, "nic/"+string(id))
	if err == nil && n.Holder == "" {
		j.shed.Add(1)
	}
	if err == nil && (n.Phase != nic.PhaseReturning && n.Phase != nic.PhaseRetiring || n.Clean && n.Reuse) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.wrong = append(j.wrong, fmt.Sprintf("%s of %s, which is %s for %s", op, id, n.Phase, n.Holder))
	}
}

func (j *jealous) Detach(ctx context.Context, id nic.ID, at nic.InstanceID) error {
	j.check(ctx, fake.OpDetach, id)
	return j.Provider.Detach(ctx, id, at)
}

func (j *jealous) Delete(ctx context.Context, id nic.ID) error {
	j.check(ctx, fake.OpDelete, id)
	return j.Provider.Delete(ctx, id)
}

// A racer is a container of the race run, which several goroutines handle.
type racer struct {
	owner   nic.Owner
	network string
	claim   nic.Claim

	mu            sync.Mutex
	running, gone bool
}

// A race is a run of many at once.
type race struct {
	w      *world
	ctx    context.Context
	all    sync.Map // sandbox: *racer
	live   chan *racer
	serial atomic.Int64

	acquires, releases, stops, starts, warm atomic.Int64

	mu   sync.Mutex
	errs []error
}

func (r *race) fail(err error) {
	if err != nil && r.ctx.Err() == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.errs = append(r.errs, err)
	}
}

// within sleeps for a random time below d, and says whether the race goes on.
func (r *race) within(d time.Duration) bool {
	select {
	case <-r.ctx.Done():
		return false
	case <-time.After(rand.N(d)):
		return true
	}
}

func (r *race) acquire(c *racer) (err error) {
	c.claim, err = r.w.alloc.Acquire(context.Background(), c.owner, "racer-"+strings.TrimLeft(c.owner.Sandbox, "0"),
		nic.Request{Interface: "eth0", Network: c.network, DefaultRoute: true})
	return err
}

func (r *race) acquirer(node string) {
	for r.within(3 * time.Second) {
		n := r.serial.Add(1)
		c := &racer{running: true, network: []string{"warm", "tepid", "warm", "many"}[n/4%4], owner: nic.Owner{
			Node: node, Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", n), Interface: "eth0",
		}}
		r.all.Store(c.owner.Sandbox, c)
		c.mu.Lock()
		r.fail(r.acquire(c))
		if c.claim.Phase == nic.ClaimReady {
			r.warm.Add(1)
		}
		c.mu.Unlock()
		r.acquires.Add(1)
		r.live <- c
	}
}

func (r *race) releaser() {
	for c := range r.live {
		r.within(time.Second)
		c.mu.Lock()
		c.running, c.gone = false, true
		if err := r.w.alloc.Release(context.Background(), c.claim.ID, c.claim.Epoch); err != nil {
			r.fail(err)
		}
		c.mu.Unlock()
		r.all.Delete(c.owner.Sandbox)
		r.releases.Add(1)
	}
}

// shrinker stops containers, so that the hold gives their NICs back, and starts
// some of them again at that very time.
func (r *race) shrinker() {
	for r.within(20 * time.Millisecond) {
		r.all.Range(func(_, v any) bool {
			c := v.(*racer)
			c.mu.Lock()
			defer c.mu.Unlock()
			switch {
			case c.gone || rand.N(4) > 0:
			case c.running:
				c.running = false
				r.stops.Add(1)
			default:
				c.running = true
				r.fail(r.acquire(c))
				r.starts.Add(1)
			}
			return rand.N(8) > 0
		})
	}
}

// porter is a node's agent.
func (r *race) porter(a *agent, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(250 * time.Millisecond):
		}
		r.fail(r.carry(a))
	}
}

func (r *race) carry(a *agent) error {
	ctx := context.Background()
	wanted, _, err := r.w.alloc.Wanted(ctx, a.node, a.session)
	if err != nil {
		return err
	}
	report := nic.NodeReport{Session: a.session}
	for _, w := range wanted {
		if w.NIC == "" {
			continue
		}
		of := &container{owner: w.Owner}
		if v, ok := r.all.Load(w.Owner.Sandbox); ok {
			c := v.(*racer)
			c.mu.Lock()
			of.running = c.running
			c.mu.Unlock()
		}
		report.NICs = append(report.NICs, a.ferry(w, of))
	}
	if len(report.NICs) == 0 {
		return nil
	}
	return r.w.alloc.Report(ctx, a.node, report)
}

// F15: 64 that acquire, 64 that release, one that stops and starts, and pools
// that keep what comes back and shrink all the time, all at once. No NIC is
// given out and unplugged at the same time.
func TestF15_RaceRun(t *testing.T) {
	span := 6 * time.Second
	if long() {
		span = 3 * time.Minute
	}
	inBubble(t, func(t *testing.T) error { return runRace(t, span) })
}

func runRace(t *testing.T, span time.Duration) error {
	cloud := fake.Options{
		Name: cloudName, NICsPerInstance: 100, CallTime: 10 * time.Millisecond,
		Latency: fake.Latency{Create: 50 * time.Millisecond, Attach: 100 * time.Millisecond, Detach: 100 * time.Millisecond, Delete: 50 * time.Millisecond},
	}
	w := newWorld(t, cloud, nil, "vm1", "vm2", "vm3", "vm4")
	defer w.close()
	guard := &jealous{Provider: w.cloud, records: w.truth}
	w.via, w.hold = guard, 200*time.Millisecond
	w.pools = map[string]reserve{ // nothing is idle for long
		"warm":  {nic.Pool{Min: 2, Max: 12, Idle: nic.Duration(20 * time.Millisecond)}, 0},
		"tepid": {nic.Pool{Max: 6, Idle: nic.Duration(50 * time.Millisecond)}, 100 * time.Millisecond},
	}
	if err := errors.Join(w.crash(), w.round()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), span)
	defer cancel()
	r := &race{w: w, ctx: ctx, live: make(chan *racer, 256)}
	done := make(chan struct{})
	var acquirers, releasers, others sync.WaitGroup
	for i := range 64 {
		acquirers.Go(func() { r.acquirer(w.agents[i%4].node) })
		releasers.Go(r.releaser)
	}
	others.Go(r.shrinker)
	for _, a := range w.agents {
		others.Go(func() { r.porter(a, done) })
	}
	acquirers.Wait()
	close(r.live)
	releasers.Wait()
	time.Sleep(30 * time.Second)
	close(done)
	others.Wait()
	made := w.cloud.Counts()[fake.OpCreate].Effects
	counts(t, "race run: %d acquired, %d of them out of a pool, %d released, %d stopped, %d started again, %d NICs made, %d calls to take a pool's away, in %s",
		r.acquires.Load(), r.warm.Load(), r.releases.Load(), r.stops.Load(), r.starts.Load(), made, guard.shed.Load(), span)
	for _, wrong := range guard.wrong {
		r.errs = append(r.errs, errors.New(wrong))
	}
	if r.stops.Load() == 0 || made < 100 || r.warm.Load() == 0 || guard.shed.Load() == 0 {
		r.errs = append(r.errs, errors.New("too little happened"))
	}
	w.pools = nil
	return errors.Join(errors.Join(r.errs...), w.check(), w.crash(), w.pass(time.Minute), w.check(), w.empty())
}
