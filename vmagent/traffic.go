package vmagent

import (
	"context"
	"fmt"
	"sync"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// inside is where a NIC is, for whoever looks at its counters. The namespace is
// the plug's: whoever looks opens it once more while he holds the lock.
type inside struct {
	mu     sync.Mutex
	ns     *netns.Namespace // nil for nowhere
	index  int
	wanted nic.Wanted
	// Whether the NIC has a lease of each protocol; absent where it wants none.
	leases map[string]bool
	// How many members of a bond have a link and have none.
	membersUp, membersDown int
	// The same of a single VF: one of them is 1.
	linksUp, linksDown int
}

// show lets others look at the NIC at index in the namespace that is held.
func (p *plug) show(w nic.Wanted, index int) {
	p.inside.mu.Lock()
	defer p.inside.mu.Unlock()
	p.inside.ns, p.inside.index, p.inside.wanted = p.ns, index, w
}

// showLease says whether the NIC has a lease.
func (p *plug) showLease(protocol string, bound bool) {
	p.inside.mu.Lock()
	defer p.inside.mu.Unlock()
	if p.inside.leases == nil {
		p.inside.leases = map[string]bool{}
	}
	p.inside.leases[protocol] = bound
}

// hideLease says that the NIC wants none.
func (p *plug) hideLease(protocol string) {
	p.inside.mu.Lock()
	defer p.inside.mu.Unlock()
	delete(p.inside.leases, protocol)
}

// open says whether the NIC is in a container.
func (i *inside) open() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.ns != nil
}

// hide ends the looking, before the namespace is closed.
func (p *plug) hide() {
	p.inside.mu.Lock()
	defer p.inside.mu.Unlock()
	p.inside.ns, p.inside.leases, p.inside.membersUp, p.inside.membersDown = nil, nil, 0, 0
	p.inside.linksUp, p.inside.linksDown = 0, 0
}

// A look is one NIC that somebody looks at.
type look struct {
	index  int
	wanted nic.Wanted
}

// looks opens the namespaces of all NICs that are in containers, each once.
// They are the caller's to close.
func (ps *plugs) looks() (spaces []*netns.Namespace, in map[netns.ID][]look) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	in = map[netns.ID][]look{}
	for _, p := range ps.all {
		p.inside.mu.Lock()
		if ns := p.inside.ns; ns != nil {
			if _, open := in[ns.ID()]; !open {
				own, err := netns.Open(fmt.Sprintf("/proc/self/fd/%d", ns.FD()))
				if err == nil {
					spaces = append(spaces, own)
				}
			}
			in[ns.ID()] = append(in[ns.ID()], look{p.inside.index, p.inside.wanted})
		}
		p.inside.mu.Unlock()
	}
	return spaces, in
}

// Traffic calls each with the counters of every NIC that is in a container, from
// the caller's goroutine. It ends with ctx at the latest, and has told then of
// those that it could read. What it cannot read it leaves out: a container may
// end meanwhile. Of two calls at once the second tells nothing.
func (a *Agent) Traffic(ctx context.Context, each func(id nic.ID, claim nic.ClaimID, network string, t nic.Traffic)) {
	if !a.reading.TryLock() { // a kernel that hangs must not gather threads
		return
	}
	type counted struct {
		look
		traffic nic.Traffic
	}
	found := make(chan counted)
	go func() {
		defer a.reading.Unlock()
		defer close(found)
		spaces, in := a.plugs.looks()
		defer netns.CloseAll(spaces)
		for _, ns := range spaces {
			if ctx.Err() != nil {
				return
			}
			counters, err := link.ReadTraffic(ns)
			if err != nil {
				a.opts.Log.Debug("counters not read", "nic", in[ns.ID()][0].wanted.NIC, "claim", in[ns.ID()][0].wanted.Claim, "err", err)
				continue
			}
			for _, l := range in[ns.ID()] {
				t, ok := counters[l.index]
				if !ok {
					continue
				}
				select {
				case found <- counted{l, t}:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	for {
		select {
		case c, ok := <-found:
			if !ok {
				return
			}
			each(c.wanted.NIC, c.wanted.Claim, c.wanted.Network, c.traffic)
		case <-ctx.Done():
			return
		}
	}
}
