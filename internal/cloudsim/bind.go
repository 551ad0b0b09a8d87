package cloudsim

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// An UnbindAddress takes a public address off what it is on.
type UnbindAddress struct {
	Allocation string // required
	// From is the interface, instance or floating address that it must be on; empty is any.
	From string
	// Private is the private address that it must be on; the zero Addr is any.
	Private netip.Addr
	// Token makes the call idempotent; empty is not.
	Token string
}

// UnbindAddress is DisassociateAddress by the allocation.
func (c *Cloud) UnbindAddress(ctx context.Context, call Call, r UnbindAddress) error {
	o := op{
		api: "DisassociateAddress", ids: []string{r.Allocation, r.From},
		resources: func(t *turn) []Resource { return t.resourcesOf(r.Allocation, r.From) },
	}
	_, err := serve(ctx, c, call, o, func(t *turn) (struct{}, error) {
		made, err := t.remembered(r.Token, r)
		if err != nil || made != nil {
			return struct{}{}, err
		}
		p := c.eips[r.Allocation]
		switch {
		case p == nil:
			return struct{}{}, refuse("address.missing", r.Allocation)
		case p.between != "":
			return struct{}{}, refuse("address.between", p.public)
		case !p.bound():
			return struct{}{}, refuse("address.free", p.public)
		}
		if a := p.seen(); r.From != "" && r.From != a.Interface && r.From != a.HaVip && (r.From != a.Instance || !a.OfInstance) ||
			r.Private.IsValid() && r.Private != a.Private {
			return struct{}{}, refuse("address.elsewhere", p.public, r.From)
		}
		if err := t.leavable(p); err != nil {
			return struct{}{}, err
		}
		if err := t.effect(); err != nil {
			return struct{}{}, err
		}
		t.leave(p)
		t.remember(r.Token, r, p.id)
		return struct{}{}, nil
	})
	return err
}

// leavable says why a public address cannot leave what it is on, as that is on its
// way itself.
func (t *turn) leavable(p *eip) error {
	if p.vip != nil {
		return p.vip.steady()
	}
	if t.steady(p.eni) == nil {
		return nil
	}
	if p.ofInstance {
		return t.steadyInstance(p.eni.now.Attachment.Instance)
	}
	return refuse("address.interface", p.eni.now.ID, p.eni.state())
}

// eipAt is the public address that is on a private one, or on its way there.
func (c *Cloud) eipAt(e *eni, private netip.Addr) *eip {
	for _, p := range c.eips {
		if p.eni == e && p.private == private {
			return p
		}
	}
	return nil
}

// show lets the interface have the public address that is on it.
func (c *Cloud) show(p *eip, at time.Time, hidden time.Duration) {
	e := p.eni
	n := slices.IndexFunc(e.now.IPv4, func(ip PrivateIP) bool { return ip.Addr == p.private })
	if n < 0 || c.enis[e.now.ID] != e { // it went meanwhile
		c.dissociate(p)
		return
	}
	e.now.IPv4 = slices.Clone(e.now.IPv4)
	e.now.IPv4[n].Association = &Association{ID: p.association, Allocation: p.id, Public: p.public, Owner: c.opts.Account}
	c.commit(e, at, hidden)
}

// way is that of a public address to what it shall be on, or from what it was on, with
// done at its end: it lasts in an Asynchronous cloud.
func (t *turn) way(p *eip, which Between, done func(p *eip, at time.Time, hidden time.Duration)) {
	if !t.c.opts.Asynchronous {
		done(p, t.now, t.hidden())
		return
	}
	p.between = which
	p.due = t.transition("binding", t.c.opts.Latency.Bind, func(at time.Time) {
		p.between, p.due = "", nil
		done(p, at, 0)
	})
}

// dissociate takes a public address off its private one, without a version.
func (c *Cloud) dissociate(p *eip) {
	e := p.eni
	if e == nil {
		p.free()
		return
	}
	e.now.IPv4 = slices.Clone(e.now.IPv4)
	for n := range e.now.IPv4 {
		if a := e.now.IPv4[n].Association; a != nil && a.Allocation == p.id {
			e.now.IPv4[n].Association = nil
		}
	}
	p.free()
}

// leave lets a public address go from what it is on.
func (t *turn) leave(p *eip) {
	if p.eni != nil {
		t.on(p.eni)
	}
	t.way(p, Unbinding, func(p *eip, at time.Time, hidden time.Duration) {
		e := p.eni
		t.c.dissociate(p)
		if e != nil {
			t.c.commit(e, at, hidden)
		}
	})
}

// free forgets what a public address was on.
func (p *eip) free() {
	if p.due != nil {
		p.due.dead = true
	}
	p.eni, p.vip, p.private, p.association, p.ofInstance, p.between, p.due = nil, nil, netip.Addr{}, "", false, "", nil
}
