package vmagent

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/dhcp"
)

// A plug is what the agent holds open for one NIC in a container.
type plug struct {
	// ns is the container's namespace, held so that the NIC can be pulled out
	// after the container has died and before the namespace does.
	ns *netns.Namespace
	// pid is the container's first process. As long as it lives in ns, no
	// word of the engine makes the container gone.
	pid    int
	keeper *dhcp.Keeper
}

// plugs holds the plugs of all NICs. A plug itself belongs to its container's
// worker and needs no lock.
type plugs struct {
	mu  sync.Mutex
	all map[nic.ID]*plug
}

func newPlugs() *plugs { return &plugs{all: map[nic.ID]*plug{}} }

// of returns the NIC's plug, an empty one at first.
func (ps *plugs) of(id nic.ID) *plug {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.all[id]
	if p == nil {
		p = &plug{}
		ps.all[id] = p
	}
	return p
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
		errs = append(errs, p.stopKeeper(false), p.letGo())
	}
	return errors.Join(errs...)
}

// keeperStop bounds the wait for a keeper to end; it only has to wake up.
const keeperStop = 5 * time.Second

// stopKeeper ends the lease keeper, if there is one, and gives the lease back
// to the server if asked.
func (p *plug) stopKeeper(release bool) error {
	if p.keeper == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), keeperStop)
	defer cancel()
	err := p.keeper.Stop(ctx, release)
	p.keeper = nil
	return err
}

// letGo closes the namespace; if the container is dead this is the moment
// when the namespace dies.
func (p *plug) letGo() error {
	if p.ns == nil {
		return nil
	}
	err := p.ns.Close()
	p.ns, p.pid = nil, 0
	return err
}
