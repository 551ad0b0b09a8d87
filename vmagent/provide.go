package vmagent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/hotplug"
)

// plugInDeadline is when a NIC that a cloud or hypervisor plugs in is shown as
// overdue. The agent goes on waiting: to give up is the controller's to say.
const plugInDeadline = 30 * time.Second

// errNotYet ends a run whose NIC is not there yet. Its arrival brings the
// worker back, so that nobody else waits meanwhile.
var errNotYet = errors.New("NIC is not in the host namespace yet")

// provide sees to it that the NIC is on the node: made, or plugged in. inside
// is the container's namespace, or nil. It is errNotYet where that takes time.
func (a *Agent) provide(ctx context.Context, inside *netns.Namespace, w nic.Wanted, said *nic.Observed) error {
	var at []*netns.Namespace
	if inside != nil {
		at = append(at, inside)
	}
	if err := a.recorded(ctx, w, said); err != nil {
		return err
	}
	p := a.plugs.of(w)
	if w.Device.Kind.Made() {
		err := a.ensure(ctx, p, w, at)
		if errors.Is(err, hotplug.ErrNotFound) { // it is a seat on one that is not there yet
			return a.await(p, w, said)
		}
		if err == nil && !p.missing.IsZero() {
			a.arrived(p, w)
		}
		if err == nil {
			err = a.opens(w, said)
		}
		return err
	}
	_, found, err := a.maker.Locate(ctx, w.NIC, w.Device, at...)
	if err == nil && !found {
		if p.missing.IsZero() {
			p.missing = time.Now()
		}
		if !p.searched && p.untilSearch(w) == 0 { // hidden, maybe
			p.searched = true
			if err = a.recoverStray(ctx, w, nil); err == nil {
				_, found, err = a.maker.Locate(ctx, w.NIC, w.Device, at...)
			}
		}
	}
	if err != nil {
		return err
	}
	if found {
		a.arrived(p, w)
		return nil
	}
	return a.await(p, w, said)
}

// arrived ends the wait for a NIC.
func (a *Agent) arrived(p *plug, w nic.Wanted) {
	p.missing, p.searched = time.Time{}, false
	a.arrivals.Forget(w.Device.Plugged(), w.NIC)
}

// searchLater is how long a NIC that comes from another node is waited for before it
// is looked for in all namespaces, which takes as long as there are processes, just
// when a container may be starting: most come, and none of them can be hidden before.
const searchLater = 3 * time.Second

// untilSearch is how long a NIC that is missing is not yet looked for.
func (p *plug) untilSearch(w nic.Wanted) time.Duration {
	if p.missing.IsZero() || p.searched || !onMove(w) {
		return 0
	}
	return max(0, searchLater-time.Since(p.missing))
}

// onMove says whether the NIC is on its way to another node, or from one.
func onMove(w nic.Wanted) bool { return w.Moves || len(w.Last) > 0 }

// await has the worker woken when what is plugged in for the NIC arrives, and says
// what is waited for. It returns errNotYet.
func (a *Agent) await(p *plug, w nic.Wanted, said *nic.Observed) error {
	if p.missing.IsZero() {
		p.missing = time.Now()
	}
	key := p.key
	a.arrivals.Await(w.Device.Plugged(), w.NIC, func() {
		p.arrived.Store(true)
		a.queue.Wake(key)
	})
	nic.SetCondition(&said.Conditions, nic.Condition{
		Reason: nic.ReasonWaitingForNIC, Message: fmt.Sprintf("no NIC with MAC %s is in the host namespace", w.Device.Plugged()),
		Since: p.missing.UTC(), Deadline: p.missing.Add(plugInDeadline).UTC(),
	})
	return errNotYet
}

// makeReady has the NIC ready in the host namespace for a container that does
// not run, so that only the move is left when it starts.
func (a *Agent) makeReady(ctx context.Context, w nic.Wanted, said *nic.Observed) error {
	said.State = nic.ObservedWaiting
	if err := a.provide(ctx, nil, w, said); err != nil {
		return err
	}
	said.State = nic.ObservedMade
	return nil
}

// keepReady has a NIC that nobody holds ready in the host namespace, wiped and
// down, whatever its last container or the host itself has made of it.
func (a *Agent) keepReady(ctx context.Context, w nic.Wanted, said *nic.Observed) error {
	said.State = nic.ObservedWaiting
	if err := a.pullOut(ctx, w, dead); err != nil {
		return err
	}
	if err := a.makeReady(ctx, w, said); err != nil {
		return err
	}
	return a.guard(ctx, a.plugs.of(w), w, said) // what its last container might send is off its port
}

// watchArrivals looks out for NICs that are plugged in, until ctx ends.
func (a *Agent) watchArrivals(ctx context.Context) {
	backoff := retry.Backoff{First: 100 * time.Millisecond, Max: 10 * time.Second}
	for {
		err := a.arrivals.Run(ctx)
		if ctx.Err() != nil {
			return
		}
		a.opts.Log.Warn("links of the host are not watched, will try again", "err", err)
		if retry.Sleep(ctx, backoff.Next()) != nil {
			return
		}
	}
}
