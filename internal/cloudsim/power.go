package cloudsim

import (
	"context"
	"slices"
	"time"
)

// A StateChange is what became of an instance.
type StateChange struct {
	Instance      string
	Before, After InstanceState
}

// turnTo logs that an instance is in a state now.
func (c *Cloud) turnTo(i *instance, at time.Time, state InstanceState) {
	c.write(Entry{Time: at, Event: string(state), Resource: i.ID, Instance: i.ID, Effect: true, Before: string(i.State), After: string(state)})
	i.State, i.due = state, nil
}

func (c *Cloud) running(i *instance, at time.Time) { c.turnTo(i, at, InstanceRunning) }

// power changes the state of instances, all or none. from are the states in
// which there is something to do; in those of none nothing is done.
func (c *Cloud) power(ctx context.Context, call Call, api string, ids []string, from, none []InstanceState, do func(*turn, *instance)) ([]StateChange, error) {
	first := ""
	if len(ids) > 0 {
		first = ids[0]
	}
	o := op{api: api, ids: ids, instance: first, resources: func(t *turn) []Resource { return t.resourcesOf(ids...) }}
	return serve(ctx, c, call, o, func(t *turn) ([]StateChange, error) {
		var all []StateChange
		for _, id := range ids {
			i, err := t.instance(id)
			if err != nil {
				return nil, err
			}
			if !slices.Contains(from, i.State) && !slices.Contains(none, i.State) {
				return nil, refuse("instance.state", id, i.State)
			}
		}
		if err := t.effect(); err != nil {
			return nil, err
		}
		for _, id := range ids {
			i := c.instances[id]
			change := StateChange{Instance: id, Before: i.State}
			if slices.Contains(from, i.State) {
				do(t, i)
			}
			change.After = i.State
			all = append(all, change)
		}
		return all, nil
	})
}

// StopInstances stops instances; interfaces stay attached.
func (c *Cloud) StopInstances(ctx context.Context, call Call, ids ...string) ([]StateChange, error) {
	return c.power(ctx, call, "StopInstances", ids, []InstanceState{InstanceRunning}, []InstanceState{InstanceStopping, InstanceStopped}, func(t *turn, i *instance) {
		i.State = InstanceStopping
		i.due = c.agenda.add(t.now.Add(c.draw(c.opts.Latency.Stop)), func(at time.Time) { c.turnTo(i, at, InstanceStopped) })
	})
}

// StartInstances starts stopped instances.
func (c *Cloud) StartInstances(ctx context.Context, call Call, ids ...string) ([]StateChange, error) {
	return c.power(ctx, call, "StartInstances", ids, []InstanceState{InstanceStopped}, []InstanceState{InstancePending, InstanceRunning}, func(t *turn, i *instance) {
		i.State = InstancePending
		i.due = c.agenda.add(t.now.Add(c.draw(c.opts.Latency.Start)), func(at time.Time) { c.running(i, at) })
	})
}

// TerminateInstances ends instances. Interfaces with DeleteOnTermination end
// with them, the others are available again.
func (c *Cloud) TerminateInstances(ctx context.Context, call Call, ids ...string) ([]StateChange, error) {
	return c.power(ctx, call, "TerminateInstances", ids,
		[]InstanceState{InstancePending, InstanceRunning, InstanceStopping, InstanceStopped},
		[]InstanceState{InstanceShutting, InstanceTerminated},
		func(t *turn, i *instance) { c.terminate(i, t.now, c.draw(c.opts.Latency.Stop)) })
}

// terminate ends an instance after a time.
func (c *Cloud) terminate(i *instance, now time.Time, after time.Duration) {
	if i.due != nil {
		i.due.dead = true
	}
	i.State = InstanceShutting
	i.due = c.agenda.add(now.Add(after), func(at time.Time) { c.terminated(i, at) })
}

// terminated is the end; the instance can still be described for an hour.
func (c *Cloud) terminated(i *instance, at time.Time) {
	c.turnTo(i, at, InstanceTerminated)
	c.leaveHaVips(i.ID)
	for _, e := range slices.Backward(slices.Clone(i.enis)) { // members before their trunks
		c.unplug(e, i.ID, func(time.Time) {})
		if !e.now.Attachment.DeleteOnTermination {
			c.fallBack(e, at, "detached")
			continue
		}
		before := e.state()
		c.remove(e, at, 0)
		e.now.Status = ""
		c.happened(at, "deleted", e, i.ID, before)
	}
	c.agenda.add(at.Add(memory), func(time.Time) { delete(c.instances, i.ID) })
}
