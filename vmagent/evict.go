package vmagent

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// evict takes the NIC out of the container that had it before its claim got the
// owner that it has now. That one may well run: nothing but the NIC, and what was
// set for it, goes.
func (a *Agent) evict(ctx context.Context, p *plug, w nic.Wanted) error {
	former := a.formerHome(p, w)
	if former.Sandbox == "" {
		return nil
	}
	at, err := netns.InProcess(former.PID)
	if err != nil && !errors.Is(err, netns.ErrGone) {
		return fmt.Errorf("container %.12s, which has had the NIC: whether its process lives: %w", former.Sandbox, err)
	}
	lives := err == nil && at == former.Namespace
	if lives && p.ns == nil {
		ns, err := netns.Open(fmt.Sprintf("/proc/%d/ns/net", former.PID))
		if err != nil {
			return err
		}
		if ns.ID() != former.Namespace { // the process has ended meanwhile, and its number is another's
			return errors.Join(fmt.Errorf("container %.12s, which has had the NIC: %w", former.Sandbox, netns.ErrGone), ns.Close())
		}
		a.settle(p, former.Sandbox, former.PID, ns, w.NIC)
	}
	if err := a.pullOut(ctx, w, !lives); err != nil {
		return err
	}
	a.opts.Log.Info("NIC is out of its former container", "nic", w.NIC, "claim", w.Claim, "former", former.Sandbox, "container", w.Container)
	if !lives {
		return nil
	}
	if c, err := a.opts.Engine.Get(ctx, former.Sandbox); err == nil { // else its files go with it
		a.writeNames(&c, a.wishes.of(former.Sandbox), &nic.Observed{})
	}
	return nil
}

// formerHome is where the NIC was brought in for another owner than the wish's; one
// without a container if it was not. What an earlier agent saw counts as much as
// what this one did; what it wrote and cannot be read is told and dropped.
func (a *Agent) formerHome(p *plug, w nic.Wanted) home {
	h := home{Sandbox: p.sandbox, PID: p.pid}
	if p.ns != nil {
		h.Namespace = p.ns.ID()
	} else {
		var err error
		if h, err = a.cache.home(w.NIC); err != nil {
			a.opts.Log.Warn("cache not read, whose the NIC was is not known", "nic", w.NIC, "claim", w.Claim, "err", errors.Join(err, a.cache.dropHome(w.NIC)))
			return home{}
		}
	}
	if h.Sandbox == w.Owner.Sandbox {
		return home{}
	}
	return h
}
