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
	// Trunk is the interface of the instance that shall carry this one as a member.
	// Device and Card are nothing then. Empty is a card of its own.
	Trunk string
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
		api: "AttachNetworkInterface", ids: []string{r.Interface, r.Instance, r.Trunk}, instance: r.Instance, device: r.Device,
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
		if r.Trunk != "" {
			return t.join(e, i, r.Trunk)
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
		c.place(e, i, Attachment{Device: r.Device, Card: r.card()}, t.now)
		c.commit(e, t.now, t.hidden())
		t.plugIn(e, i)
		return *e.now.Attachment, nil
	})
}

// firstFree is the first index of a card that nothing is attached at.
func (i *instance) firstFree(card int) int {
	for n := 0; ; n++ {
		if !slices.ContainsFunc(i.cards(), func(e *eni) bool { return e.now.Attachment.Card == card && e.now.Attachment.Device == n }) {
			return n
		}
	}
}

// attachable is the table of what is legal.
func (t *turn) attachable(e *eni, i *instance, r AttachInterface) error {
	itype, card, cards := t.c.types[i.Type], r.card(), i.cards()
	taken := func(on func(*Attachment) bool) int {
		n := 0
		for _, other := range cards {
			if on(other.now.Attachment) {
				n++
			}
		}
		return n
	}
	onCard := taken(func(a *Attachment) bool { return a.Card == card })
	bug := t.c.opts.CardBug && r.Card == nil
	if err := placeable(e, i); err != nil {
		return err
	}
	switch {
	case e.now.Kind == "trunk" && itype.Members == 0 && t.c.opts.Asynchronous:
		return refuse("trunk.type", i.Type)
	case card < 0 || card >= len(itype.Cards):
		return refuse("card.range", card, i.Type)
	case onCard >= itype.Cards[card] || len(cards) >= itype.MaxInterfaces:
		return refuse("attach.limit", len(cards)+1, i.Type)
	case r.Device < 0 || r.Device >= itype.Cards[card]:
		return refuse("index.range", r.Device, i.Type)
	case taken(func(a *Attachment) bool { return a.Device == r.Device && (a.Card == card || bug) }) > 0:
		return refuse("index.inuse", i.ID, r.Device)
	}
	return fits(e, itype)
}

// placeable says why an interface cannot come to an instance, whatever else is there.
func placeable(e *eni, i *instance) error {
	switch {
	case e.now.Status == StatusPending:
		return refuse("eni.pending", e.now.ID)
	case e.now.Status == StatusDeleting:
		return refuse("eni.state", e.now.ID, e.now.Status)
	case e.now.Attachment != nil:
		return refuse("eni.inuse", e.now.ID)
	case i.State != InstanceRunning && i.State != InstanceStopped:
		return refuse("instance.state", i.ID, i.State)
	case e.now.Zone != i.Zone:
		return refuse("attach.zone")
	case e.now.VPC != i.VPC:
		return refuse("attach.vpc")
	}
	return nil
}

// fits says why an interface has more addresses than the type allows.
func fits(e *eni, itype InstanceType) error {
	ipv6 := len(e.now.IPv6) + len(e.now.IPv6Prefixes)
	switch {
	case e.addresses() > itype.IPv4PerInterface:
		return refuse("ip.limit")
	case ipv6 > 0 && itype.IPv6PerInterface == 0:
		return refuse("ip6.unsupported", itype.Name)
	case ipv6 > itype.IPv6PerInterface:
		return refuse("ip6.limit")
	}
	return nil
}

// place gives an interface the attachment at a place, which is attaching.
func (c *Cloud) place(e *eni, i *instance, at Attachment, now time.Time) {
	at.ID, at.Instance, at.InstanceOwner = c.id("eni-attach"), i.ID, c.opts.Account
	at.Status, at.Time, at.DeleteOnTermination = Attaching, now, e.now.GoesWithInstance
	e.now.Status, e.now.Attachment = StatusInUse, &at
	c.attachments[at.ID] = e
	i.enis = append(i.enis, e)
	slices.SortFunc(i.enis, func(a, b *eni) int { return a.now.Attachment.order() - b.now.Attachment.order() })
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
	due := t.transition("attaching", c.opts.Latency.Attach, done)
	e.due = due
	c.work(e, c.plugging(e), func(now time.Time, err error) {
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
