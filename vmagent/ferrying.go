package vmagent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers"
	"github.com/nicferry/nicferry/vmagent/device"
	"github.com/nicferry/nicferry/vmagent/ferry"
)

// putIn ferries the NIC into a running container and configures it. Where it
// is there already, as after a restart of the agent, nothing is touched that
// is as it should be.
func (a *Agent) putIn(ctx context.Context, c containers.Container, w nic.Wanted, wishes []nic.Wanted, said *nic.Observed) error {
	said.State = nic.ObservedWaiting
	p := a.plugs.of(w)
	if err := a.hold(ctx, p, c, w); err != nil {
		return err
	}
	if err := a.step(p, stepProvide, func() error { return a.provide(ctx, p.ns, w, said) }); err != nil {
		return err
	}
	said.State = nic.ObservedMade
	p.pass(nic.StepFound)
	if inUserSpace(w) {
		return handOver(p, c, said)
	}
	var at link.Link
	err := a.step(p, stepEnter, func() (err error) { at, err = a.enter(ctx, p, w, wishes, said); return err })
	if err != nil {
		return err
	}
	if err := p.at(at.Index); err != nil {
		return err
	}
	p.show(w, at.Index)
	if err := a.audit(ctx, p, w, at.Index, said); err != nil {
		return err
	}
	p.pass(nic.StepMoved)
	l3, err := a.address(ctx, p, w, said)
	if err != nil {
		return err
	}
	if p.leased() {
		p.pass(nic.StepLeased)
	}
	l3.SourceRoutes = len(staying(wishes)) > 1 || len(c.DockerNetworks) > 0
	if l3.Probe != nic.ProbeStrict {
		l3.Own = w.Last
	}
	p.layer3 = l3
	// Before the addresses: a program that waits for those counts on names too.
	a.writeNames(&c, wishes, said)
	if err := a.step(p, stepAddress, func() error { return a.ferry.Apply(ctx, p.ns, at.Index, l3) }); err != nil {
		return err
	}
	p.watcher.Applied()
	if err := a.leaves(ctx, p, w, at.Index, said); err != nil {
		return err
	}
	said.Addrs = l3.Addrs
	if none := !l3.DHCP && len(w.Layer3.Addrs) == 0; none || len(l3.Addrs) > 0 {
		said.State = nic.ObservedIn
		p.pass(nic.StepAddressed)
		p.done = true
	}
	return nil
}

// enter brings the NIC into the container. One that hides in a third namespace,
// where an earlier container of this claim left it, is recovered first.
func (a *Agent) enter(ctx context.Context, p *plug, w nic.Wanted, wishes []nic.Wanted, said *nic.Observed) (link.Link, error) {
	// Any NIC of the container lifts the blackholes; they are the namespace's.
	metadata := slices.ContainsFunc(staying(wishes), func(w nic.Wanted) bool { return w.Layer3.Metadata })
	entry := ferry.NewEntry(w.Owner.Interface, w.Layer3, metadata)
	mtu, err := a.mtu(w)
	if err != nil {
		return link.Link{}, err
	}
	entry.MTU = mtu
	if err := a.guard(ctx, p, w, said); err != nil {
		return link.Link{}, err
	}
	at, err := a.ferry.In(ctx, w.NIC, w.Device, p.ns, entry)
	if !errors.Is(err, device.ErrElsewhere) {
		return at, err
	}
	if err := a.recoverStray(ctx, w, nil); err != nil {
		return at, err
	}
	if err := a.guard(ctx, p, w, said); err != nil { // it may have been made anew
		return at, err
	}
	return a.ferry.In(ctx, w.NIC, w.Device, p.ns, entry)
}

// recoverStray takes a NIC out of wherever it is: its container is dead.
func (a *Agent) recoverStray(ctx context.Context, w nic.Wanted, from *netns.Namespace) error {
	if !a.brought(w) {
		return a.ferry.Out(ctx, w.NIC, w.Device, from)
	}
	stray, astray, err := a.ferry.Recover(ctx, w.NIC, w.Device, from)
	if err == nil && astray {
		a.opts.Log.Warn("NIC recovered from where its container had hidden it", "nic", w.NIC, "claim", w.Claim, "was", stray.String())
	}
	return err
}

// hold opens the container's namespace. A container that was restarted has a
// new one: the NIC is pulled out of the old one first.
func (a *Agent) hold(ctx context.Context, p *plug, c containers.Container, w nic.Wanted) error {
	if p.sandbox == c.ID && p.pid == c.PID && p.lives() {
		return nil // it is the one that is held
	}
	ns, err := a.opts.Engine.Namespace(ctx, c)
	if err != nil {
		return err
	}
	p.looked, p.lookedAt = c, time.Now()
	if p.ns != nil && p.ns.ID() == ns.ID() {
		if p.pid != c.PID {
			a.settle(p, c.ID, c.PID, p.ns, w.NIC)
		}
		return ns.Close()
	}
	if p.ns != nil {
		if err := a.pullOut(ctx, w, dead); err != nil {
			return errors.Join(err, ns.Close())
		}
	}
	if w.Device.Kind.Functions() { // an earlier agent may have seen it
		h := a.homeOf(c.ID, w.NIC)
		p.functions.left = h.Left && h.PID == c.PID && h.Namespace == ns.ID()
	}
	a.settle(p, c.ID, c.PID, ns, w.NIC)
	return nil
}

// Whether the container that a NIC is pulled out of is dead. From a dead one
// the NIC is taken wherever it hides; in a live one's namespace and its
// children nothing but the NIC is touched.
const (
	dead  = true
	alive = false
)

// pullOut takes the NIC out of the namespace that is held for it, wipes it,
// and lets the namespace go. The lease stays: a container that is started
// again comes back with its address.
func (a *Agent) pullOut(ctx context.Context, w nic.Wanted, isDead bool) error {
	p := a.plugs.of(w)
	start, was := time.Now(), p.ns != nil
	err := p.stop(false)
	if isDead {
		err = errors.Join(err, a.recoverStray(ctx, w, p.ns))
	} else if p.ns != nil {
		out := a.ferry.Out
		if w.Gone && w.Moves && !w.Device.Kind.Made() {
			out = a.ferry.Leave
		}
		err = errors.Join(err, out(ctx, w.NIC, w.Device, p.ns))
		if err == nil && w.Gone {
			err = a.unhide(ctx, w)
		}
	}
	if was {
		a.opts.Observer.Ferried(stepOut, time.Since(start), err)
	}
	if err != nil {
		return err // the namespace stays held: without it the NIC could not be reached
	}
	a.remembered(w, a.cache.dropHome(w.NIC))
	return p.letGo()
}

// afterlife is how long a namespace may outlive its container unremarked.
const afterlife = time.Second

// nameHolders tells who keeps the namespace of a dead container alive, once it
// has had the time to go. It returns how long to wait until then.
func (a *Agent) nameHolders(w nic.Wanted) time.Duration {
	p := a.plugs.of(w)
	if p.left == (netns.ID{}) {
		return 0
	}
	if wait := afterlife - time.Since(p.leftAt); wait > 0 {
		return wait
	}
	holders, err := netns.Holders(p.left)
	if err != nil || len(holders) > 0 {
		a.opts.Log.Warn("namespace outlives its container", "container", w.Container, "nic", w.NIC, "claim", w.Claim,
			"namespace", p.left.String(), "holders", fmt.Sprintf("%+v", holders), "err", err)
	}
	p.left = netns.ID{}
	return 0
}

// giveBack takes the NIC away for good: out of the container, the lease back
// to its server, and off the node. It works without container and namespace,
// and twice. Where the claim goes on elsewhere, so does its lease: nothing is said
// to the server.
func (a *Agent) giveBack(ctx context.Context, c *containers.Container, w nic.Wanted) error {
	a.arrivals.Forget(w.Device.Plugged(), w.NIC)
	p := a.plugs.of(w)
	if w.Owner.Sandbox != "" {
		if err := a.evict(ctx, p, w); err != nil {
			return err
		}
	}
	if p.ns == nil && c != nil && c.Running {
		if err := a.hold(ctx, p, *c, w); err != nil {
			return err
		}
	}
	if p.keeper != nil || p.keeper6 != nil {
		if err := p.stop(!w.Moves); err != nil {
			a.opts.Log.Warn("lease not given back, it will run out by itself", "nic", w.NIC, "claim", w.Claim, "err", err)
		}
		a.dropLeases(w)
	}
	if err := a.pullOut(ctx, w, c == nil || !c.Running); err != nil {
		return err
	}
	if !w.Moves {
		a.releaseLeases(ctx, w)
	}
	if err := a.maker.Remove(ctx, w.NIC, w.Device); err != nil {
		return err
	}
	a.plugs.drop(w.NIC)
	a.dropLeases(w)
	return nil
}

func (a *Agent) dropLeases(w nic.Wanted) {
	a.remembered(w, errors.Join(a.cache.dropLease(w.NIC), a.cache.dropLease6(w.NIC)))
}
