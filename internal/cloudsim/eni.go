package cloudsim

import (
	"maps"
	"slices"
	"time"
)

// An eni is an interface with its past. Slices and maps of now are never
// changed, only replaced: older versions share them.
type eni struct {
	n      int
	now    Interface
	subnet *subnet
	past   []version
	keys   []key
	// absent: attached by the API, but not in the machine.
	absent bool
	// due is the end of the transition that is under way, held by stuck
	// faults where it is nil.
	due *event
	// plugged is closed when the Plugger has done all that it was asked for so far.
	plugged <-chan struct{}
}

// state is as the log says it.
func (e *eni) state() string {
	if a := e.now.Attachment; a != nil {
		return string(e.now.Status) + "/" + string(a.Status)
	}
	return string(e.now.Status)
}

// addresses are how many count for the limit of IPv4 addresses.
func (e *eni) addresses() int { return len(e.now.IPv4) + len(e.now.IPv4Prefixes) }

// limits are how many addresses an interface can have where it is.
func (c *Cloud) limits(e *eni) (ipv4, ipv6 int) {
	if a := e.now.Attachment; a != nil {
		t := c.types[c.instances[a.Instance].Type]
		return t.IPv4PerInterface, t.IPv6PerInterface
	}
	return c.opts.Quotas.UnattachedIPv4, c.opts.Quotas.UnattachedIPv6
}

// room says why an interface cannot have so many more addresses.
func (c *Cloud) room(e *eni, ipv4, ipv6 int) error {
	most4, most6 := c.limits(e)
	over4 := ipv4 > 0 && e.addresses()+ipv4 > most4
	over6 := ipv6 > 0 && len(e.now.IPv6)+len(e.now.IPv6Prefixes)+ipv6 > most6
	switch free := e.now.Attachment == nil; {
	case over4 && free:
		return refuse("ip.unattached")
	case over4:
		return refuse("ip.limit")
	case over6 && free:
		return refuse("ip6.unattached")
	case over6 && most6 == 0:
		return refuse("ip6.unsupported", c.instances[e.now.Attachment.Instance].Type)
	case over6:
		return refuse("ip6.limit")
	}
	return nil
}

// eni finds an interface that a call names to change it. One that nobody sees
// yet is not there.
func (t *turn) eni(id string) (*eni, error) {
	e := t.c.enis[id]
	switch {
	case e == nil && !wellFormed(id, "eni"):
		return nil, refuse("eni.malformed", id)
	case e == nil || e.past[0].visible.After(t.sees()):
		return nil, refuse("eni.missing", id)
	}
	t.on(e)
	return e, nil
}

// own is eni, but not what a service manages.
func (t *turn) own(id string) (*eni, error) {
	e, err := t.eni(id)
	if err == nil && e.now.Managed {
		return nil, refuse("eni.managed")
	}
	return e, err
}

// attached replaces the attachment by one that set has changed.
func (e *eni) attached(set func(*Attachment)) {
	a := *e.now.Attachment
	set(&a)
	e.now.Attachment = &a
}

// unplace takes the interface out of its instance's list, with its members.
func (c *Cloud) unplace(e *eni, at time.Time) {
	a := e.now.Attachment
	delete(c.attachments, a.ID)
	if i := c.instances[a.Instance]; i != nil {
		i.enis = slices.DeleteFunc(i.enis, func(other *eni) bool { return other == e })
	}
	e.now.Attachment, e.absent = nil, false
	c.part(e, a, at)
}

// loose makes an interface available, without an attachment.
func (c *Cloud) loose(e *eni, at time.Time) {
	if e.due != nil {
		e.due.dead = true
		e.due = nil
	}
	if e.now.Attachment != nil {
		c.unplace(e, at)
	}
	e.now.Status = StatusAvailable
	c.commit(e, at, 0)
}

// remove deletes an interface and gives its addresses back.
func (c *Cloud) remove(e *eni, at time.Time, hidden time.Duration) {
	if e.due != nil {
		e.due.dead = true
	}
	if e.now.Attachment != nil {
		c.unplace(e, at)
	}
	for _, ip := range e.now.IPv4 {
		if ip.Association != nil {
			c.dissociate(c.eips[ip.Association.Allocation])
		}
		e.subnet.space.give(e.subnet.space.place(ip.Addr))
	}
	for _, p := range e.now.IPv4Prefixes {
		e.subnet.space.giveBlock(p)
	}
	for _, a := range e.now.IPv6 {
		delete(e.subnet.space.owners6, a)
	}
	for _, p := range e.now.IPv6Prefixes {
		delete(e.subnet.space.blocks6, p)
	}
	id := e.now.ID
	c.leaveHaVips(id)
	delete(c.enis, id)
	c.ghosts[id] = e
	c.bury(e, at, hidden)
	c.agenda.add(e.past[len(e.past)-1].visible.Add(memory), func(time.Time) { delete(c.ghosts, id) })
}

// clone is for who may change it.
func (i Interface) clone() Interface {
	i.Groups, i.IPv6 = slices.Clone(i.Groups), slices.Clone(i.IPv6)
	i.IPv4Prefixes, i.IPv6Prefixes = slices.Clone(i.IPv4Prefixes), slices.Clone(i.IPv6Prefixes)
	i.Tags, i.Members = maps.Clone(i.Tags), slices.Clone(i.Members)
	i.IPv4 = slices.Clone(i.IPv4)
	for n := range i.IPv4 {
		if a := i.IPv4[n].Association; a != nil {
			own := *a
			i.IPv4[n].Association = &own
		}
	}
	if i.Attachment != nil {
		a := *i.Attachment
		i.Attachment = &a
	}
	return i
}

// Interfaces are all as they are, in the order of making, hidden from no one.
func (c *Cloud) Interfaces() []Interface {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agenda.catchUp(time.Now())
	var all []Interface
	for _, e := range sorted(c.enis) {
		all = append(all, e.now.clone())
	}
	return all
}

func sorted(enis map[string]*eni) []*eni {
	return slices.SortedFunc(maps.Values(enis), func(a, b *eni) int { return a.n - b.n })
}
