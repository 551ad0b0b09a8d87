//go:build linux

// Package soak has a controller, an agent and a Docker engine serve containers that
// come and go, does harm to them again and again, and tells whether all comes to rest
// each time with no more memory, files, threads, namespaces and records than before.
package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/retry"
)

// Options shape a run.
type Options struct {
	// Bin is the folder of nicferry's programs. Required.
	Bin string
	// For is how long it lasts, on a machine that has time for it: there is a fault for
	// each Every in it, however long that takes. Required both.
	For, Every time.Duration
	// Seed is what faults, and what containers do, are drawn from.
	Seed uint64
	// AtOnce is how many containers there are at most. Required.
	AtOnce int
	// Plant leaves something behind in each round, which must be told: "fds" of the
	// controller's, or "netns". Optional.
	Plant []string
	// Progress is told how it goes on. Required.
	Progress io.Writer
}

// Rounds is how many faults there are.
func (o Options) Rounds() int { return int(o.For / o.Every) }

// Plants are what Options.Plant may name.
func Plants() []string { return []string{plantFDs, plantNetns} }

// networks are added to the fleet's: names and their addresses are soon forgotten on all, so
// that what is remembered of them comes and goes within the run; on brief containers have
// new names each time, and on warm there are NICs in reserve, which are soon given back.
const networks = `  - name: wire
    provider: local
    addressing: dhcp
    cooldown: 1s
    keep: 10s
    veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}
  - name: named
    provider: local
    addressing: ipam
    hold: 2s
    cooldown: 1s
    keep: 10s
    veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}
    subnets: [{prefix: 10.77.1.0/24, gateway: 10.77.1.1, ranges: [10.77.1.210-10.77.1.229]}]
  - name: brief
    provider: local
    addressing: ipam
    hold: 1s
    cooldown: 1s
    keep: 10s
    veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}
    subnets: [{prefix: 10.77.1.0/24, gateway: 10.77.1.1, ranges: [10.77.1.50-10.77.1.79]}]
  - name: warm
    provider: local
    addressing: ipam
    cooldown: 1s
    keep: 10s
    pool: {max: 2, idle: 1s}
    veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}
    subnets: [{prefix: 10.77.1.0/24, gateway: 10.77.1.1, ranges: [10.77.1.230-10.77.1.249]}]
`

// collectsSoon has the controller collect garbage when its heap is twice what is in use.
// By itself it waits for four times that, and what it keeps, such as its latest events,
// would show in its RSS with as much garbage three times over.
var collectsSoon = []string{"GOGC=100"}

// patience bounds how long it may take to be whole again, or to come to rest.
const patience = 90 * time.Second

// A run is one soak and what it holds open.
type run struct {
	Options
	fleet  *fleet.Fleet
	vm     *fleet.Agent
	before map[*lab.Node]lab.Snapshot
	begin  time.Time
	churn  *churn
	look   *lookout
	// disturbed is set from the beginning of a fault until all is whole again.
	disturbed atomic.Bool
	planted   planted
	lives     atomic.Int64 // containers that were started

	mu     sync.Mutex // for the result's problems
	result Result
}

// Run plays a soak. The error is that it could not be played; what it has found is in
// the result.
func Run(ctx context.Context, opts Options) (res Result, err error) {
	if opts.Rounds() < leastRounds || opts.AtOnce < 1 {
		return res, fmt.Errorf("soak for %s with a fault every %s and %d containers: want %d faults at least, and a container", opts.For, opts.Every, opts.AtOnce, leastRounds)
	}
	for _, p := range opts.Plant {
		if !slices.Contains(Plants(), p) {
			return res, fmt.Errorf("plant %q: want one of %q", p, Plants())
		}
	}
	r := &run{Options: opts, before: map[*lab.Node]lab.Snapshot{}, begin: time.Now()}
	r.result = Result{Seed: opts.Seed, For: opts.For.String(), Every: opts.Every.String(), AtOnce: opts.AtOnce}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.start(ctx); err != nil {
		return r.result, fmt.Errorf("start the soak: %w", err)
	}
	err = r.play(ctx)
	if err == nil {
		err = r.leave(ctx)
	}
	switch {
	case ctx.Err() != nil:
		r.problem("interrupted after %d of %d faults", len(r.result.Faults), opts.Rounds())
	case err != nil: // it is not whole, or not at rest
		r.problem("%v", err)
		r.result.Logs = r.fleet.Logs().Error()
	}
	r.result.Lives = int(r.lives.Load())
	r.result.Samples, r.result.Seconds = r.look.all(), r.since()
	r.result.Series = judge(r.result.Samples)
	return r.result, nil
}

// start starts the machines and the daemons.
func (r *run) start(ctx context.Context) (err error) {
	if r.fleet, err = fleet.Start(ctx, fleet.Options{Bin: r.Bin, Networks: networks, Env: collectsSoon, ByHand: true}); err != nil {
		return err
	}
	r.vm = r.fleet.Agents[0]
	if err := r.giveDisk(ctx); err != nil {
		return err
	}
	for _, node := range []*lab.Node{r.fleet.Machine, r.vm.Machine} {
		if err := settled(ctx, node); err != nil {
			return err
		}
		if r.before[node], err = node.Snapshot(ctx); err != nil {
			return err
		}
	}
	if err := r.fleet.StartController(ctx); err != nil {
		return err
	}
	if err := r.vm.Join(ctx); err != nil {
		return err
	}
	if err := r.vm.Start(ctx); err != nil {
		return err
	}
	r.look = newLookout(r)
	r.runs(controller)
	r.runs(agent)
	r.churn = newChurn(r)
	return nil
}

// settled waits until the kernel has the addresses that it gives links itself.
func settled(ctx context.Context, node *lab.Node) error {
	return lab.Until(ctx, "links to have their addresses", patience, 100*time.Millisecond, func(ctx context.Context) error {
		out, err := node.Run(ctx, "ip", "-o", "-6", "addr", "show", "tentative")
		if err == nil && strings.TrimSpace(out) != "" {
			err = fmt.Errorf("the kernel still tries %s", out)
		}
		return err
	})
}

// play is the rounds: containers come and go, a fault, all whole again, more coming and
// going, rest.
func (r *run) play(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := r.look.start(ctx)
	defer func() { cancel(); <-ended }()
	faults := bag(r.Seed, r.Rounds())
	for i, f := range faults {
		began := time.Now()
		r.churn.resume(ctx)
		if err := retry.Sleep(ctx, r.Every*35/100); err != nil {
			return err
		}
		err := r.strike(ctx, i, f)
		if err == nil {
			r.churn.resume(ctx)
			err = retry.Sleep(ctx, max(r.Every/10, time.Until(began.Add(r.Every*7/10))))
		}
		if err == nil {
			err = r.rest(ctx)
		}
		if err != nil {
			r.churn.pause()
			return err
		}
		if err := r.plant(ctx, i); err != nil {
			return err
		}
		if err := retry.Sleep(ctx, time.Until(began.Add(r.Every))); err != nil {
			return err
		}
	}
	return nil
}

// strike does one harm, and waits until all is whole again.
func (r *run) strike(ctx context.Context, i int, f fault) error {
	rng := rand.New(rand.NewPCG(r.Seed, uint64(i)))
	told := Fault{At: r.since(), What: f.name}
	r.disturbed.Store(true)
	defer r.disturbed.Store(false)
	how, err := f.do(ctx, r, rng)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	mended := r.since()
	told.How, told.Took = how, mended-told.At
	r.churn.pause()
	told.Running, err = r.whole(ctx)
	if err != nil {
		told.Broken = err.Error()
	}
	told.Whole = r.since() - mended
	r.result.Faults = append(r.result.Faults, told)
	fmt.Fprintf(r.Progress, "%7.1f s  %s: %s; after %.1f s all %d containers answer again\n", told.At, f.name, how, told.Whole, told.Running)
	if err != nil {
		return fmt.Errorf("after %s (%s): %w", f.name, how, err)
	}
	return nil
}

// since is the time that the run has taken, in seconds, without what the machine stood still.
func (r *run) since() float64 {
	took := time.Since(r.begin)
	if r.look != nil {
		took -= time.Duration(r.look.stood.Load())
	}
	return took.Seconds()
}

// until is lab.Until, and asks for as long once more if the machine stood still meanwhile.
func (r *run) until(ctx context.Context, what string, pause time.Duration, ask func(context.Context) error) error {
	for {
		stood := r.look.stood.Load()
		err := lab.Until(ctx, what, patience, pause, ask)
		if err == nil || ctx.Err() != nil || r.look.stood.Load() == stood {
			return err
		}
	}
}

func (r *run) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Problems = append(r.result.Problems, text)
	fmt.Fprintf(r.Progress, "%7.1f s  ✗ %.2000s\n", r.since(), text)
}

// leave stops the daemons in good order and wants the machines as they were before.
func (r *run) leave(ctx context.Context) error {
	if err := r.unplant(ctx); err != nil {
		return err
	}
	if err := errors.Join(r.vm.Stop(ctx), r.fleet.StopController(ctx)); err != nil {
		return err
	}
	for node, before := range r.before {
		left, err := node.Leftovers(ctx, before, patience/3)
		if err != nil {
			return err
		}
		for _, l := range left {
			if !dockersOwn(l) {
				r.problem("left behind: %s", l)
			}
		}
	}
	return nil
}

// dockersOwn knows what an engine leaves that was killed while it started a container:
// the next one does not know of its shim.
func dockersOwn(left string) bool { return strings.Contains(left, "containerd-shim-runc") }

func (r *run) close() error {
	if r.fleet == nil {
		return nil
	}
	if r.churn != nil {
		r.churn.pause()
	}
	r.planted.close()
	return r.fleet.Close()
}
