package cloudsim

import (
	"context"
	"time"
)

// A RunInstances makes instances.
type RunInstances struct {
	Type   string // required, one of Options.Types
	Count  int    // 0 is one
	Subnet string // required, unless Interfaces
	Groups []string
	Image  string
	Token  string
	Tags   Tags
	// ID is for who builds a world and makes one: drawn where it is empty.
	ID string
	// Interfaces are existing ones to be attached at index 0, 1 and so on; then
	// Count is one.
	Interfaces []string
}

// RunInstances makes instances, each with a first interface that goes with it.
func (c *Cloud) RunInstances(ctx context.Context, call Call, r RunInstances) ([]Instance, error) {
	o := op{
		api: "RunInstances", ids: append([]string{r.Subnet, r.Token}, append(marks(r.Tags), r.Interfaces...)...), tags: r.Tags,
		resources: func(t *turn) []Resource {
			made := Resource{Type: "instance", Wanted: r.Tags, Subnet: r.Subnet}
			return append([]Resource{made}, t.resourcesOf(append([]string{r.Subnet}, append(r.Interfaces, r.Groups...)...)...)...)
		},
	}
	return serve(ctx, c, call, o, func(t *turn) ([]Instance, error) { return t.run(r) })
}

// AddInstances makes instances that run at once, past gate and latency.
func (c *Cloud) AddInstances(r RunInstances) ([]Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &turn{c: c, now: time.Now()}
	c.agenda.catchUp(t.now)
	made, err := t.run(r)
	for n := range made {
		i := c.instances[made[n].ID]
		i.due.dead = true
		c.running(i, t.now)
		made[n].State = i.State
	}
	return made, err
}

func (t *turn) run(r RunInstances) ([]Instance, error) {
	c := t.c
	made, err := t.remembered(r.Token, r)
	if err != nil {
		return nil, err
	}
	if made != nil {
		return t.instances(made), nil
	}
	count := max(r.Count, 1)
	if err := t.runnable(r, count); err != nil {
		return nil, err
	}
	first := func() (*eni, error) { return t.eni(r.Interfaces[0]) }
	if len(r.Interfaces) == 0 {
		s := c.subnets[r.Subnet]
		groups, err := c.groupsFor(r.Groups, s, "group.unknown")
		if err != nil {
			return nil, err
		}
		if s.space.free < count {
			return nil, refuse("subnet.full")
		}
		first = func() (*eni, error) {
			g, err := c.gifts(s, CreateInterface{Subnet: s.ID})
			if err != nil {
				return nil, err
			}
			return c.make(s, g, Interface{Groups: groups, Kind: "interface", Created: t.now}), nil
		}
	}
	if err := t.effect(); err != nil {
		return nil, err
	}
	reservation := c.id("r")
	for range count {
		e, err := first()
		if err != nil {
			return nil, err
		}
		made = append(made, t.start(r, e, reservation).ID)
	}
	t.remember(r.Token, r, made...)
	t.entry.Resource, t.entry.Instance = made[0], made[0]
	return t.instances(made), nil
}

// runnable checks a request for instances.
func (t *turn) runnable(r RunInstances, count int) error {
	c := t.c
	itype, ok := c.types[r.Type]
	switch {
	case !ok:
		return refuse("type.missing", r.Type)
	case r.ID != "" && (count > 1 || c.instances[r.ID] != nil):
		return refuse("value", "The instance "+r.ID+" exists already.")
	case len(r.Interfaces) > 0 && (count > 1 || r.Subnet != "" || len(r.Groups) > 0):
		return refuse("combination", "Network interfaces and an instance-level subnet, groups or number may not be specified on the same request")
	case len(r.Interfaces) > itype.Cards[0]:
		return refuse("attach.limit", len(r.Interfaces), r.Type)
	case len(r.Interfaces) == 0 && c.subnets[r.Subnet] == nil:
		return refuse("subnet.missing", r.Subnet)
	case len(c.enis)+count > c.opts.Quotas.Interfaces:
		return refuse("eni.quota")
	}
	for _, id := range r.Interfaces {
		e, err := t.own(id)
		if err != nil {
			return err
		}
		if e.now.Status != StatusAvailable {
			return refuse("eni.inuse", id)
		}
	}
	return c.checkTags(nil, r.Tags)
}

// start makes an instance with its first interface and those named besides.
func (t *turn) start(r RunInstances, first *eni, reservation string) *instance {
	c := t.c
	id := r.ID
	if id == "" {
		id = c.id("i")
	}
	i := &instance{n: c.next(), Instance: Instance{
		ID: id, Type: r.Type, State: InstancePending, Reservation: reservation,
		VPC: first.now.VPC, Subnet: first.now.Subnet, Zone: first.now.Zone, Private: first.now.Primary(),
		Image: r.Image, Launched: t.now, Owner: c.opts.Account, Groups: first.now.Groups, Tags: r.Tags.clone(),
	}}
	c.instances[id] = i
	for n, e := range append([]*eni{first}, t.others(r)...) {
		c.place(e, i, Attachment{Device: n}, t.now)
		e.attached(func(a *Attachment) { a.Status, a.DeleteOnTermination = Attached, len(r.Interfaces) == 0 })
		c.commit(e, t.now, t.hidden())
	}
	i.due = c.agenda.add(t.now.Add(c.draw(c.opts.Latency.Start)), func(at time.Time) { c.running(i, at) })
	return i
}

func (t *turn) others(r RunInstances) []*eni {
	var all []*eni
	for n, id := range r.Interfaces {
		if n > 0 {
			all = append(all, t.c.enis[id])
		}
	}
	return all
}

func (t *turn) instances(ids []string) []Instance {
	var all []Instance
	for _, id := range ids {
		if i := t.c.instances[id]; i != nil {
			all = append(all, i.seen(nil, func(e *eni) *Interface { return &e.now }).clone())
		}
	}
	return all
}
