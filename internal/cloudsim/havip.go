package cloudsim

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// A HaVipStatus is where a floating address is in its life.
type HaVipStatus string

// The states of floating addresses.
const (
	HaVipCreating  HaVipStatus = "creating"
	HaVipAvailable HaVipStatus = "available"
	HaVipInUse     HaVipStatus = "in-use"
	HaVipBinding   HaVipStatus = "binding"
	HaVipUnbinding HaVipStatus = "unbinding"
	HaVipDeleting  HaVipStatus = "deleting"
)

// A HaVip is a private address that floats among its members: it is the one's that
// last claimed it.
type HaVip struct {
	ID, Name, Description string
	VPC, Subnet           string
	Addr                  netip.Addr
	Status                HaVipStatus
	// OfInterfaces: its members are interfaces; otherwise instances.
	OfInterfaces bool
	// Members are in the order in which they came; Master is the one that has it.
	Members []string
	Master  string
	// Public are the public addresses on it.
	Public  []netip.Addr
	Tags    Tags
	Created time.Time
}

type haVip struct {
	n      int
	id     string
	now    HaVip
	subnet *subnet
	// holder stands for it among those who have addresses.
	holder *eni
	due    *event
}

// A NewHaVip is a floating address to be made.
type NewHaVip struct {
	Subnet string // required
	// Addr is drawn where it is zero.
	Addr              netip.Addr
	Name, Description string
	Tags              Tags
	// Token makes the call idempotent; empty is not.
	Token string
}

// seen is the floating address with the public ones on it.
func (c *Cloud) seen(v *haVip) HaVip {
	seen := v.now
	seen.Members, seen.Tags = slices.Clone(seen.Members), seen.Tags.clone()
	for _, p := range c.eips {
		if p.vip == v {
			seen.Public = append(seen.Public, p.public)
		}
	}
	slices.SortFunc(seen.Public, netip.Addr.Compare)
	return seen
}

// CreateHaVip makes a floating address. It is creating, and becomes available by itself.
func (c *Cloud) CreateHaVip(ctx context.Context, call Call, r NewHaVip) (HaVip, error) {
	o := op{
		api: "CreateHaVip", ids: append([]string{r.Subnet, r.Token}, marks(r.Tags)...), tags: r.Tags,
		resources: func(t *turn) []Resource {
			return append([]Resource{{Type: "havip", Wanted: r.Tags}}, t.resourcesOf(r.Subnet)...)
		},
	}
	return serve(ctx, c, call, o, func(t *turn) (HaVip, error) {
		made, err := t.remembered(r.Token, r)
		if err != nil {
			return HaVip{}, err
		}
		if made != nil {
			if v := c.haVips[made[0]]; v != nil {
				return c.seen(v), nil
			}
			return HaVip{}, refuse("token.mismatch", r.Token)
		}
		s := c.subnets[r.Subnet]
		if s == nil {
			return HaVip{}, refuse("subnet.missing", r.Subnet)
		}
		if len(c.haVips) >= c.opts.Quotas.HaVips {
			return HaVip{}, refuse("havip.quota")
		}
		if err := c.checkTags(nil, r.Tags); err != nil {
			return HaVip{}, err
		}
		if err := s.givable(only(r.Addr)); err != nil {
			return HaVip{}, err
		}
		if !r.Addr.IsValid() && s.space.free == 0 {
			return HaVip{}, refuse("subnet.full")
		}
		if err := t.effect(); err != nil {
			return HaVip{}, err
		}
		v := t.newHaVip(s, r)
		t.remember(r.Token, r, v.id)
		return c.seen(v), nil
	})
}

func (t *turn) newHaVip(s *subnet, r NewHaVip) *haVip {
	c := t.c
	addr := r.Addr
	if !addr.IsValid() {
		addr = s.space.find(c.rng, 1, nil)[0]
	}
	v := &haVip{n: c.next(), id: c.id("havip"), subnet: s}
	v.now = HaVip{
		ID: v.id, Name: r.Name, Description: r.Description, VPC: s.VPC, Subnet: s.ID, Addr: addr,
		Status: HaVipCreating, Tags: r.Tags.clone(), Created: t.now,
	}
	v.holder = &eni{now: Interface{ID: v.id}, subnet: s}
	s.space.take(s.space.place(addr), v.holder)
	c.haVips[v.id] = v
	t.entry.Resource, t.entry.After = v.id, string(v.now.Status)
	v.due = t.transition("pending", c.opts.Latency.Bind, func(time.Time) { v.now.Status, v.due = HaVipAvailable, nil })
	return v
}

// DeleteHaVip deletes a floating address that has no members, by itself, later.
func (c *Cloud) DeleteHaVip(ctx context.Context, call Call, id, token string) error {
	return c.changeHaVip(ctx, call, "DeleteHaVip", token, []string{id}, func(t *turn, v *haVip) error {
		switch {
		case v.now.Status != HaVipAvailable:
			return refuse("havip.inuse", id)
		case len(c.seen(v).Public) > 0:
			return refuse("havip.public", id)
		}
		if err := t.effect(); err != nil {
			return err
		}
		v.now.Status = HaVipDeleting
		v.due = t.transition("deleting", c.opts.Latency.Bind, func(time.Time) {
			v.subnet.space.give(v.subnet.space.place(v.now.Addr))
			delete(c.haVips, id)
		})
		return nil
	})
}

var haVipFilters = filterTable[HaVip]{
	"havip-id":  func(v *HaVip) []string { return one(v.ID) },
	"vpc-id":    func(v *HaVip) []string { return one(v.VPC) },
	"subnet-id": func(v *HaVip) []string { return one(v.Subnet) },
	"status":    func(v *HaVip) []string { return one(string(v.Status)) },
	"address":   func(v *HaVip) []string { return one(v.Addr.String()) },
}

// DescribeHaVips lists floating addresses. Filters: havip-id, vpc-id, subnet-id, status,
// address, tag:<key>, tag-key.
func (c *Cloud) DescribeHaVips(ctx context.Context, call Call, d Describe) (Page[HaVip], error) {
	return describe(ctx, c, call, d, listing[HaVip]{
		api: "DescribeHaVips", filters: haVipFilters, tags: func(v *HaVip) Tags { return v.Tags },
		all:     every(c.haVips, func(v *haVip) numbered[HaVip] { return numbered[HaVip]{v.n, v.id, new(c.seen(v))} }),
		missing: func(id string) error { return refuse("havip.missing", id) },
	})
}

// changeHaVip is a call that changes one floating address, whose id is the first.
func (c *Cloud) changeHaVip(ctx context.Context, call Call, api, token string, ids []string, do func(*turn, *haVip) error) error {
	o := op{api: api, ids: ids, resources: func(t *turn) []Resource { return t.resourcesOf(ids...) }}
	_, err := serve(ctx, c, call, o, func(t *turn) (struct{}, error) {
		made, err := t.remembered(token, ids)
		if err != nil || made != nil {
			return struct{}{}, err
		}
		v := c.haVips[ids[0]]
		if v == nil {
			return struct{}{}, refuse("havip.missing", ids[0])
		}
		t.entry.Before = string(v.now.Status)
		if err = do(t, v); err == nil {
			t.remember(token, ids, v.id)
		}
		t.entry.After = string(v.now.Status)
		return struct{}{}, err
	})
	return err
}
