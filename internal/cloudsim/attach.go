package cloudsim

import (
	"context"
	"slices"
	"time"
)

// An AttachInterface plugs an interface into an instance.
type AttachInterface struct {
	Interface, Instance string
	// Device is the index, or AnyDevice for the first that is free.
	Device int
	// Card is nil where it is not said, which is 0.
	Card *int
}

// AnyDevice asks for the first index that is free.
const AnyDevice = -1

func (r AttachInterface) card() int {
	if r.Card == nil {
		return 0
	}
	return *r.Card
}

// AttachInterface begins to attach: it is attached by itself, later.
func (c *Cloud) AttachInterface(ctx context.Context, call Call, r AttachInterface) (Attachment, error) {
	o := op{
		api: "AttachNetworkInterface", ids: []string{r.Interface, r.Instance}, instance: r.Instance, device: r.Device,
		resources: func(t *turn) []Resource { return t.resourcesOf(r.Interface, r.Instance) },
	}
	return serve(ctx, c, call, o, func(t *turn) (Attachment, error) {
		e, err := t.own(r.Interface)
		if err != nil {
			return Attachment{}, err
		}
		i, err := t.instance(r.Instance)
		if err != nil {
			return Attachment{}, err
		}
		if r.Device == AnyDevice {
			r.Device = i.firstFree(r.card())
			t.entry.Device = r.Device
		}
		if err := t.attachable(e, i, r); err != nil {
			return Attachment{}, err
		}
		if err := t.effect(); err != nil {
			return Attachment{}, err
		}
		c.place(e, i, r.Device, r.card(), t.now)
		c.commit(e, t.now, t.hidden())
		t.plugIn(e, i)
		return *e.now.Attachment, nil
	})
}

// firstFree is the first index of a card that nothing is attached at.
func (i *instance) firstFree(card int) int {
	for n := 0; ; n++ {
		if !slices.ContainsFunc(i.enis, func(e *eni) bool { return e.now.Attachment.Card == card && e.now.Attachment.Device == n }) {
			return n
		}
	}
}

// attachable is the table of what is legal.
func (t *turn) attachable(e *eni, i *instance, r AttachInterface) error {
	itype, card := t.c.types[i.Type], r.card()
	taken := func(on func(*Attachment) bool) int {
		n := 0
		for _, other := range i.enis {
			if on(other.now.Attachment) {
				n++
			}
		}
		return n
	}
	onCard := taken(func(a *Attachment) bool { return a.Card == card })
	bug := t.c.opts.CardBug && r.Card == nil
	switch {
	case e.now.Status == StatusPending:
		return refuse("eni.pending", e.now.ID)
	case e.now.Attachment != nil:
		return refuse("eni.inuse", e.now.ID)
	case i.State != InstanceRunning && i.State != InstanceStopped:
		return refuse("instance.state", i.ID, i.State)
	case e.now.Zone != i.Zone:
		return refuse("attach.zone")
	case e.now.VPC != i.VPC:
		return refuse("attach.vpc")
	case card < 0 || card >= len(itype.Cards):
		return refuse("card.range", card, i.Type)
	case onCard >= itype.Cards[card] || len(i.enis) >= itype.MaxInterfaces:
		return refuse("attach.limit", len(i.enis)+1, i.Type)
	case r.Device < 0 || r.Device >= itype.Cards[card]:
		return refuse("index.range", r.Device, i.Type)
	case taken(func(a *Attachment) bool { return a.Device == r.Device && (a.Card == card || bug) }) > 0:
		return refuse("index.inuse", i.ID, r.Device)
	case e.addresses() > itype.IPv4PerInterface || len(e.now.IPv6)+len(e.now.IPv6Prefixes) > itype.IPv6PerInterface:
		return refuse("ip.limit")
	}
	return nil
}

// place gives an interface an attachment, which is attaching.
func (c *Cloud) place(e *eni, i *instance, device, card int, now time.Time) {
	e.now.Status = StatusInUse
	e.now.Attachment = &Attachment{
		ID: c.id("eni-attach"), Instance: i.ID, InstanceOwner: c.opts.Account,
		Device: device, Card: card, Status: Attaching, Time: now, DeleteOnTermination: e.now.GoesWithInstance,
	}
	c.attachments[e.now.Attachment.ID] = e
	i.enis = append(i.enis, e)
	slices.SortFunc(i.enis, func(a, b *eni) int {
		x, y := a.now.Attachment, b.now.Attachment
		return (x.Card-y.Card)<<16 + x.Device - y.Device
	})
}

// plugIn begins what ends in the attachment being attached, or in what faults make
// of it.
func (t *turn) plugIn(e *eni, i *instance) {
	c := t.c
	done := func(at time.Time) { c.pluggedIn(e, at) }
	if t.fault(BackToAvailable) != nil {
		done = func(at time.Time) { c.fallBack(e, at, "returned") }
	} else if f := t.fault(AttachThenVanish); f != nil {
		after := f.Delay.D()
		done = func(at time.Time) {
			c.pluggedIn(e, at)
			e.due = c.agenda.add(at.Add(after), func(at time.Time) {
				c.unplug(e, i.ID, func(time.Time) {})
				c.fallBack(e, at, "vanished")
			})
		}
	}
	e.absent = t.fault(AttachedButNoNIC) != nil
	if c.opts.Plugger == nil || e.absent || t.fault(BackToAvailable) != nil {
		e.due = t.transition("attaching", c.opts.Latency.Attach, done)
		return
	}
	done = both(done)
	due, mac := t.transition("attaching", c.opts.Latency.Attach, done), e.now.MAC
	e.due = due
	c.work(e, func(ctx context.Context) error { return c.opts.Plugger.Plug(ctx, i.ID, mac) }, func(now time.Time, err error) {
		switch {
		case due.dead:
		case err != nil:
			c.fallBack(e, now, "plug-failed")
		default:
			done(now)
		}
	})
}

// pluggedIn is the end of attaching.
func (c *Cloud) pluggedIn(e *eni, at time.Time) {
	before := e.state()
	e.due = nil
	e.attached(func(a *Attachment) { a.Status = Attached })
	c.commit(e, at, 0)
	c.happened(at, "attached", e, e.now.Attachment.Instance, before)
}

// fallBack takes an attachment away that was or was to be.
func (c *Cloud) fallBack(e *eni, at time.Time, what string) {
	before, instance := e.state(), e.now.Attachment.Instance
	c.loose(e, at)
	c.happened(at, what, e, instance, before)
}
