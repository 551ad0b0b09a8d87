// Package allocator owns NICs and claims: it gives, takes back, remembers and
// recovers them.
package allocator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nicferry/nicferry/allocator/ipam"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/keyed"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Options are the parts of an Allocator.
type Options struct {
	Store     store.Store                  // required
	Providers map[string]provider.Provider // by configured name; required
	Networks  []nic.Network                // from the config
	// Tenants are those that have quotas, from the config. Optional.
	Tenants []nic.Tenant
	// TenantsOf are the tenants whose containers a node may run, from the
	// config; those of containers that name none are the first's. Optional:
	// without it all is the default tenant's.
	TenantsOf func(node string) []string
	// Instances are a node's ids at the providers, and whether it may join at
	// all, from the config. Optional: without it any node may join.
	Instances func(node string) (ids map[string]nic.InstanceID, mayJoin bool)
	Log       *slog.Logger // required
	// Trust makes the certificates of revoked nodes void. Optional: without it they
	// are somebody else's.
	Trust Trust
	// Workers is how many NICs are worked on at a time; default 8.
	Workers int
	// Poll is the time between two looks at NICs that have been in transition
	// for a while; default 500 ms.
	Poll time.Duration
	// SilentAfter is how long a node may say nothing before it is shown as
	// silent; default 90 s.
	SilentAfter time.Duration
	// UnseenAfter is how long a node may wait for a NIC that its provider calls
	// attached, before the NIC is taken back; default 30 s.
	UnseenAfter time.Duration
	// Wall is the wall clock, which is read when the allocator is made; after that
	// it goes by the time that passes. Default is time.Now.
	Wall func() time.Time
	// Events hears what happens, after it is stored. Optional.
	Events Recorder
	// Sweep is the background comparison with providers and nodes; nil is none.
	Sweep *Sweep
	// Observer is told of what happens; optional.
	Observer Observer
	// Holds is asked directly before each call that changes something at a provider
	// whether this controller still leads; an error is why the call is not made. Where
	// only one process can have the store it is not needed. Optional.
	Holds func(context.Context) error
	// MaxClaims is how many claims a node may have; default 20,000.
	MaxClaims int
}

func (opts *Options) setDefaults() {
	if opts.Workers == 0 {
		opts.Workers = 8
	}
	if opts.Poll == 0 {
		opts.Poll = 500 * time.Millisecond
	}
	if opts.SilentAfter == 0 {
		opts.SilentAfter = 90 * time.Second
	}
	if opts.UnseenAfter == 0 {
		opts.UnseenAfter = 30 * time.Second
	}
	if opts.Instances == nil {
		opts.Instances = func(string) (map[string]nic.InstanceID, bool) { return nil, true }
	}
	if opts.Events == nil {
		opts.Events = silence{}
	}
	if opts.Wall == nil {
		opts.Wall = time.Now
	}
	if opts.Observer == nil {
		opts.Observer = blind{}
	}
	if opts.Holds == nil {
		opts.Holds = func(context.Context) error { return nil }
	}
	if opts.MaxClaims == 0 {
		opts.MaxClaims = maxClaims
	}
}

// The errors that callers branch on.
var (
	ErrNotFound = errors.New("not found")
	ErrStale    = errors.New("stale") // an older epoch or session: the caller is not the owner any more
	ErrInvalid  = errors.New("invalid")
	ErrRefused  = errors.New("refused") // the config does not allow it
	// ErrExhausted: there is nothing left to give.
	ErrExhausted = errors.New("exhausted")
	// ErrStore: the store takes no records at present; the same again later.
	ErrStore = errors.New("the controller's store takes no records")
)

// An Allocator serves requests from its methods and does the waiting and
// calling in Run.
type Allocator struct {
	clock
	opts     Options
	networks map[string]nic.Network
	spans    map[spansOf][]ipam.Span[netip.Addr] // what they give
	// gateways of all networks, with the network's name. Two networks may
	// share a LAN of which only one names the gateway.
	gateways map[spaceAddr]string
	term     store.Term               // set before the queue runs; others ask leadsNow
	born     time.Time                // when it got its config
	pokes    map[string]chan struct{} // by provider: its poller is to think again

	// What is in memory alone, each with a lock of its own.
	queue    *keyed.Queue
	changes  *changes
	answers  *answers
	taken    *taken
	usage    *usage
	reported *reported
	spares   *spares
	slots    *slots
	trips    *trips
	berths   *berths
	censuses *censuses
	tallies  *tallies
	crowds   *crowds
	owners   *owners
	unserved *unserved
	glances  *glances
	ours     *ours
	overlaps *overlaps
	// publishes: there are claims with public addresses, or there may be.
	publishes atomic.Bool
	seating   *seating
	// promoting is held while a claim is promoted.
	promoting sync.Mutex

	mu       sync.Mutex           // guards what follows
	lastSeen map[string]time.Time // by node
	inFlight map[nic.ID]*flight
	outages  map[string]outage // by provider
	// storeOutage is nil while the store takes records.
	storeOutage *outage
	sweeps      api.Sweeps
	leads       bool
	stage       stage
}

// A spaceAddr is an address in its address space.
type spaceAddr struct {
	space string
	addr  netip.Addr
}

// spansOf names what a network gives of one IP version.
type spansOf struct {
	network string
	ipv6    bool
}

// New makes an allocator. Its methods work before Run, but nothing is asked of
// a provider until then.
func New(opts Options) (*Allocator, error) {
	opts.setDefaults()
	own := newClock(opts.Wall)
	a := &Allocator{
		clock:    own,
		opts:     opts,
		networks: map[string]nic.Network{},
		spans:    map[spansOf][]ipam.Span[netip.Addr]{},
		gateways: map[spaceAddr]string{},
		changes:  newChanges(),
		answers:  newAnswers(),
		lastSeen: map[string]time.Time{},
		inFlight: map[nic.ID]*flight{},
		pokes:    map[string]chan struct{}{},
		outages:  map[string]outage{},
		censuses: newCensuses(),
		taken:    newTaken(own),
		usage:    newUsage(opts.Tenants),
		reported: newReported(),
		spares:   newSpares(),
		tallies:  newTallies(own, opts.Observer),
		crowds:   newCrowds(),
		owners:   newOwners(),
		ours:     newOurs(),
		unserved: newUnserved(),
		seating:  newSeating(),
		glances:  newGlances(),
		born:     own.now(),
	}
	a.trips = newTrips(a.machineOn)
	a.slots = newSlots(a.trips)
	a.opts.Store = heedful{timed{opts.Store, opts.Observer}, a.stored}
	for name := range opts.Providers {
		a.pokes[name] = make(chan struct{}, 1)
	}
	a.opts.Providers = a.pace(opts.Providers)
	for _, n := range opts.Networks {
		if _, ok := opts.Providers[n.Provider]; !ok {
			return nil, fmt.Errorf("network %s: no provider %q", n.Name, n.Provider)
		}
		a.networks[n.Name] = n
		if n.Cloud.PublicIP {
			a.publishes.Store(true)
		}
		for _, s := range n.Subnets {
			if s.Gateway.IsValid() {
				a.gateways[spaceAddr{n.Space, s.Gateway}] = n.Name
			}
		}
	}
	for _, n := range opts.Networks {
		for _, ipv6 := range []bool{false, true} {
			a.spans[spansOf{n.Name, ipv6}] = ipam.Spans(n, ipv6, a.gatewaysIn(n.Space))
		}
	}
	a.overlaps = newOverlaps(a)
	a.berths = newBerths(opts.Workers, func(id nic.ID) { a.queue.Wake(nicKey(id)) })
	a.queue = keyed.New(keyed.Options{Work: a.work, Workers: opts.Workers, Log: opts.Log, Group: a.spares.whose, About: a.whose})
	return a, nil
}

func (a *Allocator) gatewaysIn(space string) []netip.Addr {
	var all []netip.Addr
	for at := range a.gateways {
		if at.space == space {
			all = append(all, at.addr)
		}
	}
	return all
}

// leaderName is what the one allocator at work leads under.
const leaderName = "allocator"

// Run leads until ctx ends: it recovers what an earlier run left behind, then
// works on what changes. It returns early only if leadership or the store is
// lost.
func (a *Allocator) Run(ctx context.Context) error {
	err := a.lead(ctx)
	if ctx.Err() != nil {
		return nil // whatever broke off, broke off because of that
	}
	return err
}

func (a *Allocator) lead(ctx context.Context) error {
	a.enter(stageFollowing)
	defer a.enter(stageEnding)
	term, err := a.opts.Store.Lead(ctx, leaderName)
	if err != nil {
		return fmt.Errorf("become leader: %w", err)
	}
	defer term.Resign(context.WithoutCancel(ctx))
	a.mu.Lock()
	a.term = term
	a.mu.Unlock()
	a.enter(stageRecovering)
	a.setLeading(true)
	defer a.setLeading(false)
	ctx, cancel := context.WithCancelCause(ctx)
	defer a.taken.unfollow()
	defer a.usage.unfollow()
	defer a.endPaces()
	watch, err := a.begin(ctx)
	if err != nil {
		cancel(nil)
		return err
	}
	defer watch.Close()
	a.enter(stageLeading)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() { a.queue.Run(ctx) })
	wg.Go(func() { a.sweep(ctx) })
	wg.Go(func() { a.tellSteps(ctx, a.opts.Log) })
	wg.Go(func() { a.tellSilent(ctx) })
	for name := range a.opts.Providers {
		wg.Go(func() { a.poll(ctx, name) })
		wg.Go(func() { a.listen(ctx, name) })
	}
	wg.Go(func() {
		select {
		case <-term.Lost():
			cancel(errors.New("leadership lost"))
		case <-ctx.Done():
		}
	})
	if err := a.follow(ctx, watch); ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

// leading says whether this controller does the work.
func (a *Allocator) leading() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leads
}

func (a *Allocator) setLeading(leads bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leads = leads
}
