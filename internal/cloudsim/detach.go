package cloudsim

import (
	"context"
	"time"
)

// A DetachInterface takes an interface out of its instance.
type DetachInterface struct {
	// Attachment, or else Interface and the Instance that it is attached to.
	Attachment, Interface, Instance string
	// Force ends also a detaching that is stuck.
	Force bool
	// Again begins a detaching that is under way anew.
	Again bool
	// Trunk is the one that a member must be on; empty is any, or none.
	Trunk string
}

// detaching finds the interface that is to be detached; nil is none.
func (c *Cloud) detaching(r DetachInterface) *eni {
	if r.Attachment != "" {
		return c.attachments[r.Attachment]
	}
	if e := c.enis[r.Interface]; e != nil && e.now.Attachment != nil && e.now.Attachment.Instance == r.Instance {
		return e
	}
	return nil
}

// DetachInterface begins to detach: it is detached by itself, later.
func (c *Cloud) DetachInterface(ctx context.Context, call Call, r DetachInterface) error {
	o := op{
		api: "DetachNetworkInterface", ids: []string{r.Attachment, r.Interface}, instance: r.Instance,
		resources: func(t *turn) []Resource {
			e := c.detaching(r)
			if e == nil {
				return nil
			}
			return t.resourcesOf(e.now.ID, e.now.Attachment.Instance)
		},
	}
	_, err := serve(ctx, c, call, o, func(t *turn) (struct{}, error) {
		if r.Attachment == "" {
			if _, err := t.eni(r.Interface); err != nil {
				return struct{}{}, err
			}
		}
		e := c.detaching(r)
		if e == nil {
			return struct{}{}, refuse("attachment.missing", r.Attachment)
		}
		t.on(e)
		a := e.now.Attachment
		forced, again := r.Force && a.Status == Detaching, r.Again && a.Status == Detaching
		switch {
		case e.now.Managed:
			return struct{}{}, refuse("attachment.managed")
		case a.first():
			return struct{}{}, refuse("attachment.primary")
		case r.Trunk != "" && a.Trunk != r.Trunk:
			return struct{}{}, refuse("trunk.stranger", r.Interface, r.Trunk)
		case len(e.now.Members) > 0:
			return struct{}{}, refuse("trunk.members", e.now.ID)
		case a.Status != Attached && !forced && !again:
			return struct{}{}, refuse("attachment.state", r.Attachment, a.Status)
		}
		if err := t.steadyInstance(a.Instance); err != nil {
			return struct{}{}, err
		}
		if err := t.effect(); err != nil {
			return struct{}{}, err
		}
		t.detach(e, forced)
		return struct{}{}, nil
	})
	return err
}

// detach lets the attachment go; a forced one at once.
func (t *turn) detach(e *eni, forced bool) {
	c := t.c
	if e.due != nil {
		e.due.dead = true // vanishing, or a detaching that is stuck
	}
	instance := e.now.Attachment.Instance
	done := func(at time.Time) { c.fallBack(e, at, "detached") }
	if forced {
		e.due = c.agenda.add(t.now, done)
		return
	}
	e.attached(func(a *Attachment) { a.Status = Detaching })
	c.commit(e, t.now, t.hidden())
	if c.opts.Plugger == nil || e.absent {
		e.due = t.transition("detaching", c.opts.Latency.Detach, done)
		return
	}
	done = both(done)
	due := t.transition("detaching", c.opts.Latency.Detach, done)
	e.due = due
	c.unplug(e, instance, func(now time.Time) {
		if !due.dead {
			done(now)
		}
	})
}
