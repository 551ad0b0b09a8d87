package vmagent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// reconcile is the work of one key: a container's id, or the id of a NIC that
// no container holds.
func (a *Agent) reconcile(ctx context.Context, key string) (again time.Duration, err error) {
	if wait := a.untilEnded(key); wait > 0 {
		return wait, nil
	}
	wishes := a.wishes.of(key)
	c, err := a.lookUp(ctx, key, wishes)
	if err != nil {
		return 0, err
	}
	errs := []error{a.plugs.dropUnwished(key, wishes, a.wishes.owned)}
	for _, w := range wishes {
		if w.NIC != "" {
			wait, err := a.serveNow(ctx, c, w, wishes)
			errs = append(errs, about(w, err))
			again = max(again, wait)
		}
	}
	switch {
	case c == nil:
		a.asks.put(key, func(ctx context.Context) error { return a.release(ctx, wishes) })
	case c.Running, c.Unstarted:
		a.asks.put(key, func(ctx context.Context) error { return a.acquire(ctx, *c, wishes) })
	default:
		a.asks.put(key, nil)
	}
	return again, errors.Join(errs...)
}

// A container that is ended by an order is looked at when that is carried out, but not
// for longer than endsWithin: to be asked keeps the engine from it, and the one on the
// other node waits for it. Its namespace is held meanwhile.
const (
	endsWithin = 2 * time.Second
	endsAgain  = 50 * time.Millisecond
)

// untilEnded is when to look again whether the container has been ended; 0 if it is
// to be looked at now.
func (a *Agent) untilEnded(key string) time.Duration {
	if since := a.opts.Orders.Ends(key); !since.IsZero() && time.Since(since) < endsWithin {
		return endsAgain
	}
	return 0
}

// lookUp reads the container afresh; nil means that it is gone. One source's
// silence is not enough for that: the engine's inspect and its complete list
// must both lack it, and its process must not live on (an engine that was
// started over an empty data root lists nothing).
func (a *Agent) lookUp(ctx context.Context, key string, wishes []nic.Wanted) (*containers.Container, error) {
	if ofNIC(key) {
		return nil, nil
	}
	if c := reserved(key, wishes); c != nil {
		return c, nil
	}
	if c := a.waiting(key, wishes); c != nil {
		return c, nil
	}
	c, err := a.opts.Engine.Get(ctx, key)
	if err == nil {
		return &c, nil
	}
	if !errors.Is(err, containers.ErrNotFound) {
		return nil, err
	}
	all, err := a.opts.Engine.List(ctx)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(all, func(c containers.Container) bool { return c.ID == key }) {
		return nil, fmt.Errorf("container %.12s: the engine lists it and cannot inspect it", key)
	}
	if err = a.gone(key, wishes); err != nil {
		a.tellKept(wishes, err)
	}
	return nil, err
}

// serveNow is serve for a wish that still holds. A NIC of a pool passes from
// one worker to another: the last must have let go of it, and not come back
// with a wish of before.
func (a *Agent) serveNow(ctx context.Context, c *containers.Container, w nic.Wanted, wishes []nic.Wanted) (time.Duration, error) {
	defer a.plugs.lock(w.NIC)()
	if !a.wishes.holds(w) {
		return 0, nil // whoever is to serve the new one has been woken
	}
	err := a.serve(ctx, c, w, wishes)
	p := a.plugs.of(w)
	return max(a.nameHolders(w), p.untilSearch(w), p.untilSeen()), err
}

// serve brings one NIC to where it belongs. wishes are all those of its
// container.
func (a *Agent) serve(ctx context.Context, c *containers.Container, w nic.Wanted, wishes []nic.Wanted) error {
	var err error
	said := nic.Observed{NIC: w.NIC, Claim: w.Claim, Epoch: w.Epoch, Turn: w.Turn, MAC: w.Device.MAC, Running: c != nil && c.Running, Unstarted: c != nil && c.Unstarted}
	switch {
	case w.Gone:
		if err = a.giveBack(ctx, c, w); err == nil && w.Device.Kind.Functions() {
			a.lookAtCards() // whoever hears that they are free is to see it
		}
		a.writeNames(c, wishes, &said)
		said.State = nic.ObservedClean
	case w.Claim == "":
		err = a.keepReady(ctx, w, &said)
	default:
		p := a.plugs.of(w)
		p.set(w)
		if err = a.evict(ctx, p, w); err == nil {
			err = a.serveClaim(ctx, p, c, w, wishes, &said)
		}
		said.Steps = p.way.told()
	}
	if errors.Is(err, errNotYet) {
		err = nil // the conditions say so
	}
	if err != nil {
		if said.State == nic.ObservedClean || said.State == "" {
			said.State = nic.ObservedWaiting
		}
		nic.SetCondition(&said.Conditions, nic.Condition{Reason: a.faultOf(w, said, err), Message: err.Error()})
	}
	if a.report.say(said) {
		a.tell(w, said)
	}
	return err
}

// serveClaim is serve for a NIC that a container is to have.
func (a *Agent) serveClaim(ctx context.Context, p *plug, c *containers.Container, w nic.Wanted, wishes []nic.Wanted, said *nic.Observed) error {
	var err error
	switch {
	case said.Unstarted:
		p.way.early = true
		if err = a.makeReady(ctx, w, said); err == nil {
			err = a.guard(ctx, p, w, said)
		}
	case !said.Running:
		p.way.early = true
		err = a.pullOut(ctx, w, dead)
		said.State = nic.ObservedMade
		if err == nil && inUserSpace(w) {
			err = a.keepBound(ctx, c, w, said)
		} else if err == nil && !w.Device.Kind.Made() { // it may have been unplugged meanwhile
			err = a.makeReady(ctx, w, said)
		}
	default:
		if p.way.early {
			p.pass(nic.StepStarted)
		}
		return a.putIn(ctx, *c, w, wishes, said)
	}
	if ready := said.Unstarted || !w.Device.Kind.Made(); ready && err == nil && said.State == nic.ObservedMade {
		p.pass(nic.StepFound)
	}
	return err
}

// tell logs where a NIC has got to.
func (a *Agent) tell(w nic.Wanted, said nic.Observed) {
	var what string
	switch {
	case said.State == nic.ObservedIn:
		what = "NIC is in its container"
	case said.State == nic.ObservedClean:
		what = "NIC is taken back and clean"
	case said.State == nic.ObservedMade && said.Running && w.Layer3.DHCP:
		what = "NIC waits for DHCP"
	case said.State == nic.ObservedWaiting && len(said.Conditions) > 0 && said.Conditions[0].Reason == nic.ReasonWaitingForNIC:
		what = "NIC is plugged in, they say, and not here yet"
	case said.State == nic.ObservedMade:
		what = "NIC is made and in no container"
	default:
		return // the error is told where it is returned to
	}
	a.opts.Log.Info(what, "nic", w.NIC, "claim", w.Claim, "container", w.Container,
		"interface", w.Owner.Interface, "network", w.Network, "mac", said.MAC, "addrs", said.Addrs)
}
