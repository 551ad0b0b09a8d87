package cloudsim

import (
	"context"
	"net/netip"
	"slices"
	"strings"
)

// An AssociateAddress puts a public address on a private one.
type AssociateAddress struct {
	Allocation string // required
	// Interface or Instance: the latter must have exactly one interface. Or HaVip.
	Interface, Instance, HaVip string
	// First takes the first interface of an instance that has several.
	First bool
	// Private defaults to the primary one.
	Private netip.Addr
	// AllowReassociation is nil where it is not said, which is true.
	AllowReassociation *bool
	// Token makes the call idempotent; empty is not.
	Token string
}

// text is the request as a token remembers it: what pointers point to, and not where.
func (r AssociateAddress) text() any {
	move := r.AllowReassociation == nil || *r.AllowReassociation
	r.AllowReassociation = nil
	return struct {
		AssociateAddress
		Move bool
	}{r, move}
}

// AssociateAddress returns the association's id. The same again is the same
// association, unless the cloud is Asynchronous: then it is refused.
func (c *Cloud) AssociateAddress(ctx context.Context, call Call, r AssociateAddress) (string, error) {
	o := op{
		api: "AssociateAddress", ids: []string{r.Allocation, r.Interface, r.Instance, r.HaVip}, instance: r.Instance,
		resources: func(t *turn) []Resource { return t.resourcesOf(r.Allocation, r.Interface, r.Instance, r.HaVip) },
	}
	return serve(ctx, c, call, o, func(t *turn) (string, error) {
		made, err := t.remembered(r.Token, r.text())
		if err != nil || made != nil {
			return strings.Join(made, ""), err
		}
		p := c.eips[r.Allocation]
		switch {
		case p == nil:
			return "", refuse("address.missing", r.Allocation)
		case p.between != "":
			return "", refuse("address.between", p.public)
		}
		if r.HaVip != "" {
			err = t.toHaVip(p, r)
		} else {
			err = t.toInterface(p, r)
		}
		if err != nil {
			return "", err
		}
		t.remember(r.Token, r.text(), p.association)
		return p.association, nil
	})
}

// toInterface puts a public address on an address of an interface.
func (t *turn) toInterface(p *eip, r AssociateAddress) error {
	c := t.c
	e, err := t.target(r)
	if err != nil {
		return err
	}
	private := r.Private
	if !private.IsValid() {
		private = e.now.Primary()
	}
	n := slices.IndexFunc(e.now.IPv4, func(ip PrivateIP) bool { return ip.Addr == private })
	if n < 0 {
		return refuse("ip.notassigned", e.now.ID)
	}
	if p.eni == e && p.private == private && !c.opts.Asynchronous {
		return nil
	}
	other := c.eipAt(e, private)
	if keep := r.AllowReassociation; keep != nil && !*keep && (p.bound() || other != nil) {
		if p.eni != nil {
			return refuse("address.taken", p.eni.now.ID, p.public)
		}
		if p.vip != nil {
			return refuse("address.taken", p.vip.id, p.public)
		}
		return refuse("address.occupied", e.now.ID, other.public)
	}
	if err := t.effect(); err != nil {
		return err
	}
	if other != nil {
		c.dissociate(other)
	}
	if from := p.eni; from != nil {
		c.dissociate(p)
		if from != e {
			c.commit(from, t.now, t.hidden())
		}
	}
	p.eni, p.private, p.association, p.ofInstance = e, private, c.id("eipassoc"), r.Instance != ""
	t.way(p, Binding, c.show)
	return nil
}

// target is the interface that a public address shall be on.
func (t *turn) target(r AssociateAddress) (*eni, error) {
	if ways(r.Interface != "", r.Instance != "") != 1 {
		return nil, refuse("combination", "A network interface or an instance is needed, and not both.")
	}
	if r.Interface != "" {
		e, err := t.own(r.Interface)
		if err == nil && t.steady(e) != nil {
			err = refuse("address.interface", e.now.ID, e.state())
		}
		return e, err
	}
	i, err := t.instance(r.Instance)
	if err == nil {
		err = t.steadyInstance(r.Instance)
	}
	if err != nil {
		return nil, err
	}
	if len(i.enis) != 1 && !r.First {
		return nil, refuse("instance.many", r.Instance)
	}
	t.on(i.enis[0])
	return i.enis[0], nil
}

// DisassociateAddress takes the public address of an association off.
func (c *Cloud) DisassociateAddress(ctx context.Context, call Call, association string) error {
	find := func() *eip {
		for _, p := range c.eips {
			if p.eni != nil && p.association == association {
				return p
			}
		}
		return nil
	}
	o := op{
		api: "DisassociateAddress", ids: []string{association},
		resources: func(t *turn) []Resource {
			if p := find(); p != nil {
				return t.resourcesOf(p.id, p.eni.now.ID)
			}
			return nil
		},
	}
	_, err := serve(ctx, c, call, o, func(t *turn) (struct{}, error) {
		p := find()
		if p == nil {
			return struct{}{}, refuse("association.missing", association)
		}
		if err := t.effect(); err != nil {
			return struct{}{}, err
		}
		t.leave(p)
		return struct{}{}, nil
	})
	return err
}
