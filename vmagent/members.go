package vmagent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// auditMembers tells of the members of a bond that have no link.
func (a *Agent) auditMembers(ctx context.Context, p *plug, w nic.Wanted, said *nic.Observed) error {
	if w.Device.Kind != nic.Bonded {
		return nil
	}
	a.watchMembers(p, w)
	all, err := a.maker.Members(ctx, w.NIC, w.Device, p.ns)
	if err != nil {
		return err
	}
	if p.functions.failures == nil {
		p.functions.failures = map[string]int{}
	}
	var down, up []string
	for i, m := range all {
		what := fmt.Sprintf("VF %s of PF %s", m.PCI, w.Device.Bond.Members[i].PF)
		if fresh := m.Failures - p.functions.failures[m.PCI]; m.Joined && fresh != 0 {
			a.opts.Observer.MemberFailed(w.Network, max(fresh, 0))
			p.functions.failures[m.PCI] = m.Failures
		}
		switch {
		case !m.Joined:
			down = append(down, what+" is not in the bond")
		case !m.Up:
			down = append(down, what+" has no link")
		default:
			up = append(up, what)
		}
	}
	p.showMembers(len(up), len(down))
	p.functions.fresh = len(down) > 0 && time.Since(p.functions.members.since) < memberSettles
	if len(down) == 0 || p.functions.fresh {
		p.functions.downText = ""
		return nil
	}
	text := strings.Join(down, ", ") + "; the bond goes on over " + strings.Join(up, ", ")
	if len(up) == 0 {
		text = strings.Join(down, ", ") + "; the bond carries nothing"
	}
	nic.SetCondition(&said.Conditions, nic.Condition{Reason: nic.ReasonMemberDown, Message: text})
	if p.functions.downText != text {
		a.opts.Log.Warn("member of a bond is down", "nic", w.NIC, "claim", w.Claim, "container", w.Container, "what", text)
	}
	p.functions.downText = text
	return nil
}

// memberRest is how long the changes of a container's links are gathered: it may change
// them as fast as it likes.
const memberRest = 250 * time.Millisecond

// memberSettles is how long a bond has to find its members' links when it was made.
const memberSettles = time.Second

// A memberWatch wakes a worker when a link in its container's namespace changes.
type memberWatch struct {
	watch *link.Watch // nil where the kernel lets nobody listen
	at    netns.ID
	since time.Time
	quit  chan struct{}
	ended chan struct{}
}

// watchMembers has the worker woken when a member's link comes or goes. Where the kernel
// lets nobody listen, the look at everything must do.
func (a *Agent) watchMembers(p *plug, w nic.Wanted) {
	if m := p.functions.members; m != nil && m.at == p.ns.ID() {
		return
	}
	p.stopMembers()
	m := &memberWatch{at: p.ns.ID(), since: time.Now(), quit: make(chan struct{}), ended: make(chan struct{})}
	p.functions.members = m
	watch, err := link.Subscribe(p.ns)
	if err != nil {
		a.opts.Log.Warn("members of a bond are not watched, they are looked at now and then", "nic", w.NIC, "claim", w.Claim, "err", err)
		close(m.ended)
		return
	}
	m.watch = watch
	key := keyOf(w)
	go func() {
		defer close(m.ended)
		for {
			select {
			case <-m.quit:
				return
			case _, open := <-watch.C:
				if !open {
					return
				}
			}
			a.queue.Wake(key)
			select {
			case <-m.quit:
				return
			case <-time.After(memberRest):
			}
		}
	}()
}

// stopMembers ends the watch: its socket would keep the namespace alive.
func (p *plug) stopMembers() {
	if m := p.functions.members; m != nil {
		close(m.quit)
		if m.watch != nil {
			m.watch.Close()
		}
		<-m.ended
		p.functions.members = nil
	}
}

// showMembers lets others see how many members a bond has that are up and down.
func (p *plug) showMembers(up, down int) {
	p.inside.mu.Lock()
	defer p.inside.mu.Unlock()
	p.inside.membersUp, p.inside.membersDown = up, down
}
