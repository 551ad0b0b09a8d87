package cloudsim

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A TrunkPlugger is a Plugger that can have several networks on one card. Both methods
// are as Plug and Unplug are.
type TrunkPlugger interface {
	Plugger
	// Join lets what the instance sends and gets on the card of the trunk, tagged with
	// the VLAN, be the member's, whose MAC is mac.
	Join(ctx context.Context, instance string, trunk MAC, vlan int, mac MAC) error
	// Leave ends that.
	Leave(ctx context.Context, instance string, trunk MAC, vlan int, mac MAC) error
}

// errNoTrunks is why a member is not plugged in.
var errNoTrunks = errors.New("nothing here can have a VLAN on a card")

// mostVLANs is how many there are on a card.
const mostVLANs = 4094

// first says whether it is that of an instance's first interface.
func (a *Attachment) first() bool { return a != nil && a.Trunk == "" && a.Device == 0 && a.Card == 0 }

// order is by card and index; members come last.
func (a *Attachment) order() int {
	if a.Trunk != "" {
		return 1<<30 + a.VLAN
	}
	return a.Card<<16 + a.Device
}

// cards are the interfaces that have one of their own in the instance.
func (i *instance) cards() []*eni {
	var all []*eni
	for _, e := range i.enis {
		if e.now.Attachment.Trunk == "" {
			all = append(all, e)
		}
	}
	return all
}

// join begins to make an interface a member of a trunk, with the first VLAN that is free.
func (t *turn) join(e *eni, i *instance, id string) (Attachment, error) {
	c := t.c
	trunk, err := t.trunk(id, i)
	if err == nil {
		err = placeable(e, i)
	}
	itype := c.types[i.Type]
	switch {
	case err != nil:
	case e.now.Kind == "trunk":
		err = refuse("trunk.kind", e.now.ID)
	case len(i.enis)-len(i.cards()) >= itype.Members:
		err = refuse("attach.limit", len(i.enis)+1, i.Type)
	default:
		err = fits(e, itype)
	}
	if err == nil {
		err = t.effect()
	}
	if err != nil {
		return Attachment{}, err
	}
	vlan := c.freeVLAN(trunk)
	t.entry.Device = vlan
	c.place(e, i, Attachment{Device: vlan, VLAN: vlan, Card: trunk.now.Attachment.Card, Trunk: id}, t.now)
	c.commit(e, t.now, t.hidden())
	trunk.now.Members = append(slices.Clone(trunk.now.Members), e.now.ID)
	c.commit(trunk, t.now, t.hidden())
	t.plugIn(e, i)
	return *e.now.Attachment, nil
}

// trunk finds the one that shall carry a member: it is in the instance already.
func (t *turn) trunk(id string, i *instance) (*eni, error) {
	e := t.c.enis[id]
	if e == nil {
		return nil, refuse("trunk.missing", id)
	}
	a := e.now.Attachment
	switch {
	case t.c.types[i.Type].Members == 0:
		return nil, refuse("trunk.type", i.Type)
	case e.now.Kind != "trunk":
		return nil, refuse("trunk.kind", id)
	case a == nil || a.Instance != i.ID || a.Status != Attached || len(e.now.Members) >= mostVLANs:
		return nil, refuse("trunk.state", id, e.state())
	}
	return e, nil
}

// freeVLAN is the lowest that no member of a trunk has.
func (c *Cloud) freeVLAN(trunk *eni) int {
	used := map[int]bool{}
	for _, id := range trunk.now.Members {
		used[c.enis[id].now.Attachment.VLAN] = true
	}
	n := 1
	for used[n] {
		n++
	}
	return n
}

// part takes a member from its trunk, and from a trunk its members.
func (c *Cloud) part(e *eni, a *Attachment, at time.Time) {
	if trunk := c.enis[a.Trunk]; trunk != nil {
		trunk.now.Members = slices.DeleteFunc(slices.Clone(trunk.now.Members), func(id string) bool { return id == e.now.ID })
		c.commit(trunk, at, 0)
	}
	for _, id := range e.now.Members {
		if m := c.enis[id]; m != nil && m.now.Attachment != nil {
			c.unplug(m, a.Instance, func(time.Time) {})
			c.fallBack(m, at, "detached")
		}
	}
}

// plugging is what plugs an interface in: its card, or its VLAN on another's.
func (c *Cloud) plugging(e *eni) func(context.Context) error {
	a, mac := *e.now.Attachment, e.now.MAC
	if a.Trunk == "" {
		return func(ctx context.Context) error { return c.opts.Plugger.Plug(ctx, a.Instance, mac) }
	}
	p, ok := c.opts.Plugger.(TrunkPlugger)
	if !ok {
		return func(context.Context) error { return errNoTrunks }
	}
	trunk := c.enis[a.Trunk].now.MAC
	return func(ctx context.Context) error { return p.Join(ctx, a.Instance, trunk, a.VLAN, mac) }
}

// unplugging is what takes it out again.
func (c *Cloud) unplugging(e *eni, instance string) func(context.Context) error {
	mac, a := e.now.MAC, e.now.Attachment
	if a == nil || a.Trunk == "" {
		return func(ctx context.Context) error { return c.opts.Plugger.Unplug(ctx, instance, mac) }
	}
	p, ok := c.opts.Plugger.(TrunkPlugger)
	trunk, there := c.enis[a.Trunk]
	if !ok || !there {
		return func(context.Context) error { return nil } // it went with the trunk's card
	}
	on, vlan := trunk.now.MAC, a.VLAN
	return func(ctx context.Context) error { return p.Leave(ctx, instance, on, vlan, mac) }
}
