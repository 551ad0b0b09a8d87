package vmagent

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// auditLink tells of a single VF that has no link any more. Until a frame has left it once
// that is said by leaves, and of a bond by auditMembers.
func (a *Agent) auditLink(p *plug, w nic.Wanted, index int, said *nic.Observed) error {
	f := &p.functions
	if w.Device.Kind != nic.SRIOV || !f.left {
		return nil
	}
	a.watchLinks(p, w) // before the look: what changes later is heard
	inside, err := link.Open(p.ns)
	if err != nil {
		return err
	}
	defer inside.Close()
	l, err := inside.ByIndex(index)
	if err != nil {
		return err
	}
	p.showLink(l.Carries)
	if l.Carries {
		f.down, f.fresh, f.downText = time.Time{}, false, ""
		return nil
	}
	if f.down.IsZero() {
		f.down = time.Now()
	}
	if f.fresh = time.Since(f.down) < linkSettles; f.fresh {
		return nil
	}
	text := fmt.Sprintf("VF %s of PF %s has no link", w.Device.VF.PCI, w.Device.VF.PF)
	nic.SetCondition(&said.Conditions, nic.Condition{Reason: nic.ReasonLinkDown, Message: text, Since: f.down.UTC()})
	if f.downText != text {
		a.opts.Observer.LinkFailed(w.Network)
		a.opts.Log.Warn("link of a VF is down", "nic", w.NIC, "claim", w.Claim, "container", w.Container, "what", text)
	}
	f.downText = text
	return nil
}

// showLink lets others see whether a single VF has a link.
func (p *plug) showLink(up bool) {
	p.inside.mu.Lock()
	defer p.inside.mu.Unlock()
	p.inside.linksUp, p.inside.linksDown = 0, 1
	if up {
		p.inside.linksUp, p.inside.linksDown = 1, 0
	}
}

// linkRest is how long the changes of a container's links are gathered: it may change
// them as fast as it likes.
const linkRest = 250 * time.Millisecond

// linkSettles is how long a bond has to find its members' links when it was made, and a
// link that fails to come back before a word is made of it.
const linkSettles = time.Second

// A linkWatch wakes a worker when a link in its container's namespace changes.
type linkWatch struct {
	watch *link.Watch // nil where the kernel lets nobody listen
	at    netns.ID
	since time.Time
	quit  chan struct{}
	ended chan struct{}
	// broken: its socket has failed, and it hears nothing any more.
	broken atomic.Bool
}

// watchLinks has the worker woken when a link in the container comes or goes. Where the kernel
// lets nobody listen, the look at everything must do. A watch that has broken is made anew.
func (a *Agent) watchLinks(p *plug, w nic.Wanted) {
	since := time.Now()
	if m := p.functions.watch; m != nil && m.at == p.ns.ID() {
		if !m.broken.Load() {
			return
		}
		since = m.since
		a.opts.Log.Warn("watch of a container's links has broken, and is made anew", "nic", w.NIC, "claim", w.Claim)
	}
	p.stopWatch()
	m := &linkWatch{at: p.ns.ID(), since: since, quit: make(chan struct{}), ended: make(chan struct{})}
	p.functions.watch = m
	watch, err := link.Subscribe(p.ns)
	if err != nil {
		a.opts.Log.Warn("links of a container are not watched, they are looked at now and then", "nic", w.NIC, "claim", w.Claim, "err", err)
		close(m.ended)
		return
	}
	m.watch = watch
	key := keyOf(w)
	go func() {
		defer close(m.ended)
		for open := true; open; {
			select {
			case <-m.quit:
				return
			case _, open = <-watch.C:
			}
			if m.broken.Store(!open); open {
				a.queue.Wake(key)
			}
			select {
			case <-m.quit:
				return
			case <-time.After(linkRest):
			}
		}
		a.queue.Wake(key) // what came in between was not heard
	}()
}

// stopWatch ends the watch: its socket would keep the namespace alive.
func (p *plug) stopWatch() {
	if m := p.functions.watch; m != nil {
		close(m.quit)
		if m.watch != nil {
			m.watch.Close()
		}
		<-m.ended
		p.functions.watch = nil
	}
}
