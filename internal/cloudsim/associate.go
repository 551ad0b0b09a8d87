package cloudsim

import (
	"context"
	"net/netip"
	"slices"
)

// An AssociateAddress puts a public address on a private one.
type AssociateAddress struct {
	Allocation string // required
	// Interface or Instance: the latter must have exactly one interface.
	Interface, Instance string
	// Private defaults to the primary one.
	Private netip.Addr
	// AllowReassociation is nil where it is not said, which is true.
	AllowReassociation *bool
}

// AssociateAddress returns the association's id. The same again is the same
// association.
func (c *Cloud) AssociateAddress(ctx context.Context, call Call, r AssociateAddress) (string, error) {
	o := op{
		api: "AssociateAddress", ids: []string{r.Allocation, r.Interface, r.Instance}, instance: r.Instance,
		resources: func(t *turn) []Resource { return t.resourcesOf(r.Allocation, r.Interface, r.Instance) },
	}
	return serve(ctx, c, call, o, func(t *turn) (string, error) {
		p := c.eips[r.Allocation]
		if p == nil {
			return "", refuse("address.missing", r.Allocation)
		}
		e, err := t.target(r)
		if err != nil {
			return "", err
		}
		private := r.Private
		if !private.IsValid() {
			private = e.now.Primary()
		}
		n := slices.IndexFunc(e.now.IPv4, func(ip PrivateIP) bool { return ip.Addr == private })
		if n < 0 {
			return "", refuse("ip.notassigned", e.now.ID)
		}
		if p.eni == e && p.private == private {
			return p.association, nil
		}
		other := e.now.IPv4[n].Association
		if keep := r.AllowReassociation; keep != nil && !*keep && (p.eni != nil || other != nil) {
			if p.eni != nil {
				return "", refuse("address.taken", p.eni.now.ID, p.public)
			}
			return "", refuse("address.taken", e.now.ID, other.Public)
		}
		if err := t.effect(); err != nil {
			return "", err
		}
		if other != nil {
			c.dissociate(c.eips[other.Allocation])
		}
		if from := p.eni; from != nil {
			c.dissociate(p)
			if from != e {
				c.commit(from, t.now, t.hidden())
			}
		}
		p.eni, p.private, p.association = e, private, c.id("eipassoc")
		e.now.IPv4 = slices.Clone(e.now.IPv4)
		n = slices.IndexFunc(e.now.IPv4, func(ip PrivateIP) bool { return ip.Addr == private })
		e.now.IPv4[n].Association = &Association{ID: p.association, Allocation: p.id, Public: p.public, Owner: c.opts.Account}
		c.commit(e, t.now, t.hidden())
		return p.association, nil
	})
}

// target is the interface that a public address shall be on.
func (t *turn) target(r AssociateAddress) (*eni, error) {
	if ways(r.Interface != "", r.Instance != "") != 1 {
		return nil, refuse("combination", "A network interface or an instance is needed, and not both.")
	}
	if r.Interface != "" {
		return t.own(r.Interface)
	}
	i, err := t.instance(r.Instance)
	if err != nil {
		return nil, err
	}
	if len(i.enis) != 1 {
		return nil, refuse("instance.many", r.Instance)
	}
	t.on(i.enis[0])
	return i.enis[0], nil
}

// dissociate takes a public address off its private one, without a version.
func (c *Cloud) dissociate(p *eip) {
	e := p.eni
	e.now.IPv4 = slices.Clone(e.now.IPv4)
	for n := range e.now.IPv4 {
		if a := e.now.IPv4[n].Association; a != nil && a.Allocation == p.id {
			e.now.IPv4[n].Association = nil
		}
	}
	p.eni, p.private, p.association = nil, netip.Addr{}, ""
}

// DisassociateAddress takes the public address of an association off.
func (c *Cloud) DisassociateAddress(ctx context.Context, call Call, association string) error {
	return c.disassociate(ctx, call, []string{association}, "association.missing", func(p *eip) bool { return p.association == association })
}

// DisassociateAllocation takes a public address off the interface that it is on, which
// must be the one named, if one is.
func (c *Cloud) DisassociateAllocation(ctx context.Context, call Call, allocation, from string) error {
	return c.disassociate(ctx, call, []string{allocation, from}, "address.missing", func(p *eip) bool {
		return p.id == allocation && (from == "" || p.eni.now.ID == from)
	})
}

// disassociate takes off the public address that is looked for among those that are on
// something.
func (c *Cloud) disassociate(ctx context.Context, call Call, ids []string, missing string, wanted func(*eip) bool) error {
	find := func() *eip {
		for _, p := range c.eips {
			if p.eni != nil && wanted(p) {
				return p
			}
		}
		return nil
	}
	o := op{
		api: "DisassociateAddress", ids: ids,
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
			return struct{}{}, refuse(missing, ids[0])
		}
		if err := t.effect(); err != nil {
			return struct{}{}, err
		}
		e := p.eni
		t.on(e)
		c.dissociate(p)
		c.commit(e, t.now, t.hidden())
		return struct{}{}, nil
	})
	return err
}
