package vmagent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/announce"
	"github.com/nicferry/nicferry/vmagent/containers"
	"github.com/nicferry/nicferry/vmagent/dhcp"
	"github.com/nicferry/nicferry/vmagent/dhcp6"
)

// A plug is what the agent holds open for one NIC in a container.
type plug struct {
	key string // the worker that it belongs to
	// ns is the container's namespace, held so that the NIC can be pulled out
	// after the container has died and before the namespace does.
	ns      *netns.Namespace
	sandbox string // the container's id
	// pid is the container's first process. As long as it lives in ns, no
	// word of the engine makes the container gone.
	pid int
	// missing is since when the NIC is waited for; zero if it was there. arrived: it
	// has come since.
	missing time.Time
	// searched: it has been looked for in all namespaces meanwhile.
	searched bool
	arrived  atomic.Bool
	// looked is how the container was when its namespace was opened.
	looked   containers.Container
	lookedAt time.Time
	// The keepers of the leases and the watcher of the addresses work over the
	// link with the index.
	index   int
	keeper  *dhcp.Keeper
	keeper6 *dhcp6.Keeper
	watcher *announce.Watcher
	// left is the namespace that was last let go, until it has been looked
	// whether somebody keeps it alive.
	left   netns.ID
	leftAt time.Time
	// layer3 is the addressing that was last worked out, and leaseDNS the name
	// servers that came with its leases.
	layer3   nic.Layer3
	leaseDNS []nic.DNS
	saidMTU  int // what the lease was last seen to say
	guard    guard
	way      way
	// done: the NIC has been in its container and configured.
	done      bool
	functions functions
	inside    inside // for others to look at
}

// plugs holds the plugs of all NICs. A plug itself belongs to its container's
// worker and needs no lock.
type plugs struct {
	mu    sync.Mutex
	all   map[nic.ID]*plug
	locks map[nic.ID]*nicLock
}

// A nicLock is held by the worker that is at a NIC.
type nicLock struct {
	sync.Mutex
	users int // that hold it or wait for it
}

func newPlugs() *plugs { return &plugs{all: map[nic.ID]*plug{}, locks: map[nic.ID]*nicLock{}} }

// lock waits until no other worker is at the NIC, and keeps others away until
// the function that it returns is called.
func (ps *plugs) lock(id nic.ID) (unlock func()) {
	ps.mu.Lock()
	l := ps.locks[id]
	if l == nil {
		l = &nicLock{}
		ps.locks[id] = l
	}
	l.users++
	ps.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		ps.mu.Lock()
		defer ps.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(ps.locks, id)
		}
	}
}

// held is the plug of a NIC if it is the worker's; nil if not.
func (ps *plugs) held(key string, id nic.ID) *plug {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.all[id]; p != nil && p.key == key {
		return p
	}
	return nil
}

// of returns the plug of a wanted NIC, an empty one at first.
func (ps *plugs) of(w nic.Wanted) *plug {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.all[w.NIC]
	if p == nil {
		p = &plug{}
		ps.all[w.NIC] = p
	}
	p.key = keyOf(w)
	return p
}

// seen is the plug of a NIC, for others than its worker; nil if there is none.
func (ps *plugs) seen(id nic.ID) *plug {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.all[id]
}

// dropUnwished lets go of what is held for a key's NICs that nobody wishes for
// any more: a namespace that is held for nothing would never die. A NIC that is
// wished for elsewhere by now is left to whoever is to serve it there, who has to
// take it out of here.
func (ps *plugs) dropUnwished(key string, wishes []nic.Wanted, elsewhere func(nic.ID) bool) error {
	ps.mu.Lock()
	var unwished []*plug
	for id, p := range ps.all {
		if p.key == key && !slices.ContainsFunc(wishes, func(w nic.Wanted) bool { return w.NIC == id }) && !elsewhere(id) {
			unwished = append(unwished, p)
			delete(ps.all, id)
		}
	}
	ps.mu.Unlock()
	var errs []error
	for _, p := range unwished {
		errs = append(errs, p.stop(false), p.letGo())
	}
	return errors.Join(errs...)
}

func (ps *plugs) drop(id nic.ID) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.all, id)
}

// close lets everything go and leaves every NIC and every lease as it is.
func (ps *plugs) close() error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var errs []error
	for _, p := range ps.all {
		errs = append(errs, p.stop(false), p.letGo())
	}
	return errors.Join(errs...)
}

// stopTime bounds the wait for a keeper or watcher to end: it has to wake up,
// and to say good-bye to a server.
const stopTime = 5 * time.Second

// stop ends what works over the link, and gives the leases back to their
// servers if asked. The NIC may leave its namespace then.
func (p *plug) stop(release bool) error {
	p.stopWatch()
	return errors.Join(p.stopWatcher(), p.stopKeeper(release), p.stopKeeper6(release))
}

// at has what works over the link with the index work there. Where the container has
// destroyed the NIC and has another one now, it begins anew.
func (p *plug) at(index int) error {
	if p.index == index {
		return nil
	}
	err := p.stop(false)
	if err == nil {
		p.index = index
	}
	return err
}

func (p *plug) stopKeeper(release bool) error {
	if p.keeper == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	err := p.keeper.Stop(ctx, release)
	p.keeper = nil
	return err
}

func (p *plug) stopKeeper6(release bool) error {
	if p.keeper6 == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	err := p.keeper6.Stop(ctx, release)
	p.keeper6 = nil
	return err
}

func (p *plug) stopWatcher() error {
	if p.watcher == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	err := p.watcher.Stop(ctx)
	p.watcher = nil
	return err
}

// letGo closes the namespace; if the container is dead this is the moment
// when the namespace dies.
func (p *plug) letGo() error {
	p.hide()
	p.done = false
	if p.ns == nil {
		return nil
	}
	p.left, p.leftAt = p.ns.ID(), time.Now()
	p.stopWatch()
	p.functions = functions{}
	err := p.ns.Close()
	p.ns, p.sandbox, p.pid = nil, "", 0
	return err
}
