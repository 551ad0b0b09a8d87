//go:build linux

// Package sim plays a fleet in virtual time: the real allocator, agents that only speak
// its API, and a cloud with latency, token buckets and faults, all drawn from a seed.
package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Options are what a run is made of. The same ones give the same digest.
type Options struct {
	Seed    uint64
	Nodes   int
	PerNode int // containers that run at a time on each
	// Ramp is the time in which all are started, and at the end removed; Steady is the
	// time between, in which the share Churn of them is replaced by new ones.
	Ramp, Steady time.Duration
	Churn        float64
	// Warm is the share of containers whose network keeps a NIC in reserve on each node.
	Warm float64
	// Faults is the share of calls that fail, half of them after they have taken effect.
	Faults float64
	// Workers are the controller's; nicferryd has 32.
	Workers int
	// Sweep is the time between two comparisons with the cloud; 0 is none.
	Sweep time.Duration
	// Plant has the cloud forget a delete, which must be reported.
	Plant bool
	// Dump, if not "", is a file that gets a store with all records of the moment when
	// all containers run.
	Dump string
}

// Default is a run of so many nodes as the report has it.
func Default(nodes int) Options {
	return Options{
		Seed: 1, Nodes: nodes, PerNode: 50, Ramp: 2 * time.Hour, Steady: time.Hour, Churn: 0.1,
		Warm: 0.2, Faults: 0.01, Workers: 32,
	}
}

// lives is how many containers there are in all.
func (o Options) lives() int { return o.livesBefore(o.Nodes) }

// livesBefore is how many the nodes before one have.
func (o Options) livesBefore(node int) int { return node*o.PerNode + o.replacedBefore(node) }

// replaced is how many containers of a node are replaced; where the share of each comes
// to less than one, that is so on some nodes.
func (o Options) replaced(node int) int { return o.replacedBefore(node+1) - o.replacedBefore(node) }

func (o Options) replacedBefore(node int) int { return int(float64(node*o.PerNode)*o.Churn + 0.5) }

// The networks: one makes a NIC for each container, the other keeps one in reserve.
const (
	coldNetwork = "cold"
	warmNetwork = "warm"
	cloudName   = "cloud"
)

func networks() []nic.Network {
	of := func(name, prefix, first, last string) nic.Network {
		return nic.Network{
			Name: name, Provider: cloudName, Addressing: nic.AddrIPAM, Space: "default", MTU: 1500,
			Hold: nic.Duration(time.Minute), Cooldown: nic.Duration(30 * time.Second),
			Subnets: []nic.Subnet{{
				Prefix: netip.MustParsePrefix(prefix),
				Ranges: []nic.Range{{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}},
			}},
		}
	}
	warm := of(warmNetwork, "10.128.0.0/9", "10.128.0.10", "10.255.255.0")
	warm.Pool = nic.Pool{Min: 1, Max: 2, Idle: nic.Duration(10 * time.Minute)}
	return []nic.Network{of(coldNetwork, "10.0.0.0/9", "10.0.0.10", "10.127.255.0"), warm}
}

// A run is one play.
type run struct {
	opts  Options
	store store.Store
	cloud *cloud
	alloc *allocator.Allocator
	begin time.Time
	say   func(format string, args ...any)

	lives    []life // by number
	bound    atomic.Int64
	gone     atomic.Int64
	mu       sync.Mutex
	claims   map[nic.ClaimID]int // lives by claim, for the cloud's dice
	failures []error
}

// A life is what became of one container.
type life struct {
	asked, bound, ended time.Duration // since the beginning; 0 is never
	warm                bool
}

func (r *run) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failures) < 20 {
		r.failures = append(r.failures, err)
	}
}

// lifeOf is the life that a NIC is made for, -1 for none.
func (r *run) lifeOf(id nic.ID) int {
	claim := r.alloc.ClaimOf(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, ok := r.claims[claim]; ok {
		return n
	}
	return -1
}

// play plays a run, in a bubble of virtual time.
func play(ctx context.Context, opts Options, progress io.Writer) (Result, error) {
	r := &run{
		opts: opts, store: memstore.New(memstore.Options{History: 1 << 16}), begin: time.Now(),
		lives: make([]life, opts.lives()), claims: map[nic.ClaimID]int{},
	}
	r.say = func(format string, args ...any) {
		fmt.Fprintf(progress, "%9s  %s\n", time.Since(r.begin).Round(time.Second), fmt.Sprintf(format, args...))
	}
	r.cloud = newCloud(opts, r.lifeOf)
	var sweep *allocator.Sweep
	if opts.Sweep > 0 {
		sweep = &allocator.Sweep{Every: opts.Sweep, Grace: 2 * time.Minute}
	}
	alloc, err := allocator.New(allocator.Options{
		Store: r.store, Providers: map[string]provider.Provider{cloudName: r.cloud}, Networks: networks(),
		Log: slog.New(slog.DiscardHandler), Workers: opts.Workers, SilentAfter: 2 * heartbeat, Sweep: sweep,
	})
	if err != nil {
		return Result{}, err
	}
	r.alloc = alloc
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := alloc.Run(running); err != nil {
			r.failed(fmt.Errorf("the allocator has ended: %w", err))
		}
	})
	meter := newMeter()
	result, err := r.scenes(ctx, meter)
	stop()
	wg.Wait()
	return result, errors.Join(err, r.store.Close())
}

// scenes are the run's times: all are started, some replaced, all removed.
func (r *run) scenes(ctx context.Context, meter *meter) (Result, error) {
	o := r.opts
	nodes, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for n := range o.Nodes {
		wg.Go(func() {
			if err := newNode(r, n).live(nodes, &wg); err != nil && nodes.Err() == nil {
				r.failed(err)
			}
		})
	}
	telling := make(chan struct{})
	wg.Go(func() { r.tell(meter, telling) })
	defer close(telling)

	until := func(at time.Duration) error { return sleep(ctx, time.Until(r.begin.Add(at))) }
	if err := until(o.Ramp + startsWithin); err != nil {
		return Result{}, err
	}
	synctest.Wait()
	meter.mark("all are started")
	if err := until(o.Ramp + startsWithin + o.Steady); err != nil {
		return Result{}, err
	}
	synctest.Wait()
	meter.mark("some are replaced")
	peak := r.cloud.count()
	if err := r.atPeak(ctx); err != nil {
		return Result{}, err
	}
	meter.skip()
	end := 2*o.Ramp + 2*startsWithin + o.Steady
	for range 24 { // what the cloud is slow with
		if err := until(end); err != nil {
			return Result{}, err
		}
		if synctest.Wait(); int(r.gone.Load()) == len(r.lives) {
			break
		}
		end += 10 * time.Minute
	}
	if err := until(end + settled); err != nil { // reserves and cool-downs end too
		return Result{}, err
	}
	synctest.Wait()
	meter.mark("all are removed")
	return r.result(ctx, meter, peak)
}

const (
	// startsWithin is when a container has its NIC for certain, if nothing is wrong.
	startsWithin = 10 * time.Minute
	// settled is when nothing is under way any more after the last was removed.
	settled = 30 * time.Minute
	// heartbeat is how long an agent waits for news before it asks again.
	heartbeat = 30 * time.Minute
)

// tell tells how far the run is, each ten minutes of its time.
func (r *run) tell(meter *meter, end <-chan struct{}) {
	ticker := time.NewTicker(10 * time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-end:
			return
		case <-ticker.C:
			r.say("%d of %d containers have been started, %d are gone; %d NICs; %s of processor, %d MiB",
				r.bound.Load(), len(r.lives), r.gone.Load(), r.cloud.count(), meter.used().Round(time.Second), rss()>>20)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
