package cloudsim

import (
	"context"
	"time"
)

// A DetachInterface takes an interface out of its instance.
type DetachInterface struct {
	Attachment string
	// Force ends also a detaching that is stuck.
	Force bool
}

// DetachInterface begins to detach: it is detached by itself, later.
func (c *Cloud) DetachInterface(ctx context.Context, call Call, r DetachInterface) error {
	o := op{
		api: "DetachNetworkInterface", ids: []string{r.Attachment},
		resources: func(t *turn) []Resource {
			e := c.attachments[r.Attachment]
			if e == nil {
				return nil
			}
			return t.resourcesOf(e.now.ID, e.now.Attachment.Instance)
		},
	}
	_, err := serve(ctx, c, call, o, func(t *turn) (struct{}, error) {
		e := c.attachments[r.Attachment]
		if e == nil {
			return struct{}{}, refuse("attachment.missing", r.Attachment)
		}
		t.on(e)
		a := e.now.Attachment
		forced := r.Force && a.Status == Detaching
		switch {
		case e.now.Managed:
			return struct{}{}, refuse("attachment.managed")
		case a.Device == 0 && a.Card == 0:
			return struct{}{}, refuse("attachment.primary")
		case a.Status != Attached && !forced:
			return struct{}{}, refuse("attachment.state", r.Attachment, a.Status)
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
