// Package vmagent is the loop on a node: it brings every container interface
// to what the controller wants of it, wherever the wish came from.
//
// Docker's events, the controller's watch and the lease keepers only wake it.
// Each run of a container's worker reads the container, the wish and the
// kernel afresh, and acts on the difference.
package vmagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/keyed"
	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/pulse"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/announce"
	"github.com/nicferry/nicferry/vmagent/containers"
	"github.com/nicferry/nicferry/vmagent/device"
	"github.com/nicferry/nicferry/vmagent/dhcp"
	"github.com/nicferry/nicferry/vmagent/dhcp6"
	"github.com/nicferry/nicferry/vmagent/ferry"
	"github.com/nicferry/nicferry/vmagent/hotplug"
)

// Controller is what the agent asks of a controller. Every call may be
// repeated after a lost reply.
type Controller interface {
	Hello(ctx context.Context, node string, inv nic.Inventory) (nic.Node, error)
	Acquire(ctx context.Context, owner nic.Owner, container string, req nic.Request) (nic.Claim, error)
	Release(ctx context.Context, id nic.ClaimID, epoch uint64) error
	Report(ctx context.Context, node string, report nic.NodeReport) error
	Wanted(ctx context.Context, node string, session uint64) ([]nic.Wanted, uint64, error)
	// Watch calls changed for each newer revision of the node's wanted state.
	// It returns when ctx ends, or when a new session is needed.
	Watch(ctx context.Context, node string, after uint64, changed func(uint64)) error
}

// Engine is what the agent asks of the container engine.
type Engine interface {
	Get(ctx context.Context, id string) (containers.Container, error)
	List(ctx context.Context) ([]containers.Container, error)
	// Watch wakes containers that may have changed, until ctx ends.
	Watch(ctx context.Context, wake func(id string), resync func())
	Namespace(ctx context.Context, c containers.Container) (*netns.Namespace, error)
}

// Orders are what the node is ordered to do beside what is wanted of it; that is
// tasks.Runner.
type Orders interface {
	// Run lets orders be carried out until ctx ends.
	Run(ctx context.Context)
	// Follow asks for orders under the session until ctx or the session ends.
	Follow(ctx context.Context, session uint64) error
	// Wake says that there may be new ones. It never blocks.
	Wake()
	// Busy says whether one is being carried out.
	Busy() bool
	// Ends is since when the container is being ended by one; zero if it is not.
	Ends(container string) time.Time
}

// Options are the parts of an Agent.
type Options struct {
	Node       string           // required: the node's name
	Inventory  nic.Inventory    // required
	Controller Controller       // required
	Engine     Engine           // required
	Host       *netns.Namespace // required: where NICs are found and made
	RunDir     string           // required: the cache, on a tmpfs
	Log        *slog.Logger     // required
	// Superseded says whether an error of the controller means that a newer
	// agent of this node has started; required.
	Superseded func(error) bool
	// Refused says whether an error of the controller is its answer that it does
	// not serve this node, and no silence; optional: without it all are silence.
	Refused func(error) bool
	// Workers is how many containers are worked on at a time; default 8.
	Workers int
	// Orders are carried out beside; optional.
	Orders Orders
	// Observer is told of what happens; optional.
	Observer Observer
	// Cards looks which of the node's cards are cut into virtual functions, and who
	// has those; optional: without it none is told of.
	Cards func() ([]nic.Card, error)
	// Processors are those of each of the machine's NUMA nodes, in the kernel's form
	// such as 0-3,8; optional: without it cards are as near to all containers.
	Processors func() (map[int]string, error)
	// Functions sets virtual functions; optional: without it NICs of them are refused.
	Functions device.Functions
	// RDMA moves RDMA devices along with virtual functions; optional: without it they stay.
	RDMA device.RDMA
}

// ErrSuperseded means that another agent has started for the same node. This
// one has stopped acting and must end.
var ErrSuperseded = errors.New("another agent has started for this node")

// An Agent serves one node.
type Agent struct {
	opts    Options
	maker   *device.Maker
	ferry   *ferry.Ferry
	queue   *keyed.Queue
	asks    *asks
	wishes  *wishes
	plugs   *plugs
	report  *reporter
	stale   *staleness
	asking  sync.Mutex // held while what is wanted is asked
	refused *refusals
	// arrivals tells of NICs that are plugged in.
	arrivals *hotplug.Watcher
	cache    cache
	censuses *censuses
	links    *link.Handle // for the pulse alone: a question may be out for long
	pulse    *pulse.Pulse
	wires    *dhcp.Listener
	wires6   *dhcp6.Listener
	lans     *announce.Listener
	contact  contact
	reading  sync.Mutex // of counters
	looking  sync.Mutex // at cards
	blindPFs names      // that do not see what their VFs send
}

// New makes an agent and reads what an earlier one left in the cache.
func New(opts Options) (*Agent, error) {
	if opts.Workers == 0 {
		opts.Workers = 8
	}
	if opts.Observer == nil {
		opts.Observer = blind{}
	}
	if opts.Refused == nil {
		opts.Refused = func(error) bool { return false }
	}
	if opts.Orders == nil {
		opts.Orders = noOrders{}
	}
	opts.Controller = observed{opts.Controller, opts.Observer}
	wishes := newWishes()
	a := &Agent{
		opts: opts, wishes: wishes, plugs: newPlugs(), refused: newRefusals(), report: newReporter(opts), stale: newStaleness(),
		asks: newAsks(opts, wishes.whose), censuses: newCensuses(), cache: cache{dir: opts.RunDir}, arrivals: hotplug.NewWatcher(opts.Host),
		wires: dhcp.NewListener(), wires6: dhcp6.NewListener(), lans: announce.NewListener(),
	}
	a.asks.stale, a.report.stale = a.stale.note, func() { a.stale.note("") }
	a.queue = keyed.New(keyed.Options{Work: a.reconcile, Workers: opts.Workers, Log: opts.Log, About: a.wishes.whose})
	var err error
	if a.maker, err = device.New(opts.Host); err != nil {
		return nil, err
	}
	if opts.Functions != nil {
		a.maker.UseFunctions(opts.Functions)
	}
	if opts.RDMA != nil {
		a.maker.UseRDMA(opts.RDMA)
	}
	if a.ferry, err = ferry.New(opts.Host, a.maker); err != nil {
		return nil, errors.Join(err, a.maker.Close())
	}
	if a.links, err = link.Open(opts.Host); err != nil {
		return nil, errors.Join(err, a.ferry.Close(), a.maker.Close())
	}
	a.pulse = pulse.OfLinks(a.links)
	cached, err := a.cache.wanted()
	if err != nil {
		opts.Log.Warn("cache not read, the controller will tell", "err", err)
	}
	a.wake(a.wishes.replace(cached))
	return a, nil
}

// Close lets go of what New opened. Containers keep their NICs.
func (a *Agent) Close() error {
	a.links.Close()
	return errors.Join(a.plugs.close(), a.ferry.Close(), a.maker.Close())
}

// Run serves the node until ctx ends, or returns ErrSuperseded. NICs stay
// where they are, for the next agent to take over.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() { a.queue.Run(ctx) })
	wg.Go(func() { a.asks.queue.Run(ctx) })
	wg.Go(func() { a.watchArrivals(ctx) })
	wg.Go(func() { a.followCards(ctx) })
	wg.Go(func() { a.opts.Orders.Run(ctx) })
	wg.Go(func() { a.opts.Engine.Watch(ctx, a.queue.Wake, func() { a.resync(ctx) }) })
	wg.Go(func() { cancel(a.followController(ctx)) })
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// resync wakes every container there is and every one that a wish names.
func (a *Agent) resync(ctx context.Context) {
	a.opts.Observer.Resynced()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	all, err := a.opts.Engine.List(ctx)
	if err != nil {
		a.opts.Log.Warn("container engine does not list its containers, will ask again", "err", err)
	}
	for _, c := range all {
		if len(nic.ParseLabels(c.Labels)) > 0 {
			a.queue.Wake(c.ID)
		}
	}
	a.wake(a.wishes.keys())
}

func (a *Agent) wake(keys []string) {
	for _, key := range keys {
		a.queue.Wake(key)
	}
}

// about says whose NIC an error is about.
func about(w nic.Wanted, err error) error {
	switch {
	case err == nil:
		return nil
	case w.Claim == "":
		return fmt.Errorf("%s, which nobody holds: %w", w.NIC, err)
	}
	return fmt.Errorf("claim %s, %s of container %q: %w", w.Claim, w.Owner.Interface, w.Container, err)
}
