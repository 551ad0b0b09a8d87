package cloudsim

import (
	"context"
	"time"
)

// DeleteInterface deletes an interface that is not attached: at once, or in an
// Asynchronous cloud by itself, later. One that is being deleted is so anew.
func (c *Cloud) DeleteInterface(ctx context.Context, call Call, id string) error {
	return c.change(ctx, call, "DeleteNetworkInterface", []string{id}, func(t *turn, e *eni) error {
		switch {
		case e.now.Attachment.first():
			return refuse("eni.first", id)
		case e.now.Attachment != nil:
			return refuse("eni.busy", id)
		case c.opts.Asynchronous && e.now.Status == StatusPending:
			return refuse("eni.state", id, e.now.Status)
		}
		if err := t.effect(); err != nil {
			return err
		}
		if c.opts.Asynchronous {
			t.delete(e)
			return nil
		}
		c.remove(e, t.now, t.hidden())
		e.now.Status = ""
		return nil
	})
}

// delete lets an interface go.
func (t *turn) delete(e *eni) {
	c := t.c
	if e.due != nil {
		e.due.dead = true // a deleting that is stuck
	}
	e.now.Status = StatusDeleting
	c.commit(e, t.now, t.hidden())
	e.due = t.transition("deleting", c.opts.Latency.Delete, func(at time.Time) {
		before := e.state()
		c.remove(e, at, 0)
		e.now.Status = ""
		c.happened(at, "deleted", e, "", before)
	})
}

// steady refuses an Asynchronous cloud's interface that is between two states, and a
// first one whose instance is.
func (t *turn) steady(e *eni) error {
	a := e.now.Attachment
	switch {
	case !t.c.opts.Asynchronous:
		return nil
	case e.now.Status == StatusPending || e.now.Status == StatusDeleting || a != nil && a.Status != Attached:
		return refuse("eni.state", e.now.ID, e.state())
	case a.first():
		return t.steadyInstance(a.Instance)
	}
	return nil
}

// steadyInstance refuses an Asynchronous cloud's instance that neither runs nor stands.
func (t *turn) steadyInstance(id string) error {
	i := t.c.instances[id]
	if t.c.opts.Asynchronous && i != nil && i.State != InstanceRunning && i.State != InstanceStopped {
		return refuse("instance.state", id, i.State)
	}
	return nil
}
