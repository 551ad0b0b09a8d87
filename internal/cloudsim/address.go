package cloudsim

import (
	"context"
	"net/netip"
	"strings"
)

// An Address is a public one (EIP), of the account until it is released.
type Address struct {
	Allocation string
	Public     netip.Addr
	// Association is empty, and so are the others, where it is on nothing.
	Association               string
	Interface, InterfaceOwner string
	Instance                  string
	Private                   netip.Addr
	// OfInstance: it was put on Instance, and so is on its first interface.
	OfInstance bool
	// HaVip is the floating address that it is on.
	HaVip string
	// Between is Binding or Unbinding; empty where it is neither.
	Between Between
	Name    string
	Tags    Tags
}

// A Between is where a public or floating address is on its way, in a cloud that is
// Asynchronous.
type Between string

// The ways.
const (
	Binding   Between = "binding"
	Unbinding Between = "unbinding"
)

// A NewAddress is a public address to be allocated.
type NewAddress struct {
	Tags Tags
	// Name is for clouds that have one beside the tags.
	Name string
	// Token makes the call idempotent; empty is not.
	Token string
}

type eip struct {
	n           int
	id, name    string
	public      netip.Addr
	tags        Tags
	association string
	eni         *eni
	private     netip.Addr
	ofInstance  bool
	vip         *haVip
	between     Between
	due         *event // the end of what is under way
}

// bound says whether it is on something, or on its way there or from there.
func (p *eip) bound() bool { return p.eni != nil || p.vip != nil }

func (p *eip) seen() Address {
	a := Address{Allocation: p.id, Public: p.public, Name: p.name, Tags: p.tags.clone(), OfInstance: p.ofInstance, Between: p.between}
	if p.vip != nil {
		a.Association, a.HaVip, a.Private = p.association, p.vip.id, p.vip.now.Addr
	}
	if p.eni != nil {
		a.Association, a.Interface, a.InterfaceOwner, a.Private = p.association, p.eni.now.ID, p.eni.now.Owner, p.private
		if on := p.eni.now.Attachment; on != nil {
			a.Instance = on.Instance
		}
	}
	return a
}

// AllocateAddress gives the account a public address.
func (c *Cloud) AllocateAddress(ctx context.Context, call Call, r NewAddress) (Address, error) {
	o := op{
		api: "AllocateAddress", ids: marks(r.Tags), tags: r.Tags,
		resources: func(*turn) []Resource { return []Resource{{Type: "elastic-ip", Wanted: r.Tags}} },
	}
	return serve(ctx, c, call, o, func(t *turn) (Address, error) {
		made, err := t.remembered(r.Token, r)
		if err != nil {
			return Address{}, err
		}
		if made != nil {
			if p := c.eips[made[0]]; p != nil {
				return p.seen(), nil
			}
			return Address{}, refuse("token.mismatch", r.Token)
		}
		if len(c.eips) >= c.opts.Quotas.Addresses {
			return Address{}, refuse("address.quota")
		}
		if err := c.checkTags(nil, r.Tags); err != nil {
			return Address{}, err
		}
		if err := t.effect(); err != nil {
			return Address{}, err
		}
		p := &eip{n: c.next(), id: c.id("eipalloc"), name: r.Name, tags: r.Tags.clone()}
		p.public = netip.AddrFrom4([4]byte{198, 18 + byte(p.n>>16&1), byte(p.n >> 8), byte(p.n)})
		c.eips[p.id] = p
		t.remember(r.Token, r, p.id)
		t.entry.Resource = p.id
		return p.seen(), nil
	})
}

// ReleaseAddress gives a public address back that is on nothing.
func (c *Cloud) ReleaseAddress(ctx context.Context, call Call, allocation string) error {
	o := op{
		api: "ReleaseAddress", ids: []string{allocation},
		resources: func(t *turn) []Resource { return t.resourcesOf(allocation) },
	}
	_, err := serve(ctx, c, call, o, func(t *turn) (struct{}, error) {
		p := c.eips[allocation]
		switch {
		case p == nil:
			return struct{}{}, refuse("address.missing", allocation)
		case p.between != "":
			return struct{}{}, refuse("address.between", p.public)
		case p.bound():
			return struct{}{}, refuse("address.inuse", p.public)
		}
		if err := t.effect(); err != nil {
			return struct{}{}, err
		}
		delete(c.eips, allocation)
		return struct{}{}, nil
	})
	return err
}

var addressFilters = filterTable[Address]{
	"allocation-id":              func(a *Address) []string { return one(a.Allocation) },
	"association-id":             func(a *Address) []string { return one(a.Association) },
	"public-ip":                  func(a *Address) []string { return one(a.Public.String()) },
	"network-interface-id":       func(a *Address) []string { return one(a.Interface) },
	"network-interface-owner-id": func(a *Address) []string { return one(a.InterfaceOwner) },
	"instance-id":                func(a *Address) []string { return one(a.Instance) },
	"private-ip-address": func(a *Address) []string {
		if !a.Private.IsValid() {
			return nil
		}
		return one(a.Private.String())
	},
	"domain": func(*Address) []string { return one("vpc") },
}

// DescribeAddresses lists public addresses; IDs are allocations. Filters:
// allocation-id, association-id, public-ip, network-interface-id,
// network-interface-owner-id, instance-id, private-ip-address, domain,
// tag:<key>, tag-key.
func (c *Cloud) DescribeAddresses(ctx context.Context, call Call, d Describe) (Page[Address], error) {
	return describe(ctx, c, call, d, listing[Address]{
		api: "DescribeAddresses", filters: addressFilters, tags: func(a *Address) Tags { return a.Tags },
		all: every(c.eips, func(p *eip) numbered[Address] { return numbered[Address]{p.n, p.id, new(p.seen())} }),
		missing: func(id string) error {
			if !strings.HasPrefix(id, "eipalloc-") {
				return refuse("value", "Invalid value '"+id+"' for allocationId.")
			}
			return refuse("address.missing", id)
		},
	})
}
