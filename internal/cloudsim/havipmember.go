package cloudsim

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A HaVipMember is what a floating address can be had by.
type HaVipMember struct {
	HaVip string // required
	// Instance or Interface.
	Instance, Interface string
	// Token makes the call idempotent; empty is not.
	Token string
}

func (r HaVipMember) id() string { return r.Instance + r.Interface }

// steady refuses a floating address that is on its way.
func (v *haVip) steady() error {
	switch v.now.Status {
	case HaVipAvailable, HaVipInUse:
		return nil
	case HaVipCreating, HaVipDeleting:
		return refuse("havip.made", v.id, v.now.Status)
	default:
		return refuse("havip.between", v.id, v.now.Status)
	}
}

// AssociateHaVip lets an instance or an interface have a floating address, of which
// there can be several. The first has it until another one claims it.
func (c *Cloud) AssociateHaVip(ctx context.Context, call Call, r HaVipMember) error {
	return c.changeHaVip(ctx, call, "AssociateHaVip", r.Token, []string{r.HaVip, r.id()}, func(t *turn, v *haVip) error {
		if err := t.eligible(v, r); err != nil {
			return err
		}
		if err := t.effect(); err != nil {
			return err
		}
		v.now.Status = HaVipBinding
		v.due = t.transition("binding", c.opts.Latency.Bind, func(time.Time) {
			v.due = nil
			if c.enis[r.Interface] != nil || c.instances[r.Instance] != nil { // it is there still
				v.now.OfInterfaces = r.Interface != ""
				v.now.Members = append(slices.Clone(v.now.Members), r.id())
			}
			v.settle()
		})
		return nil
	})
}

// settle is the end of a way: what the members make of it.
func (v *haVip) settle() {
	if !slices.Contains(v.now.Members, v.now.Master) {
		v.now.Master = ""
	}
	if len(v.now.Members) == 0 {
		v.now.Status = HaVipAvailable
		return
	}
	v.now.Status = HaVipInUse
	if v.now.Master == "" {
		v.now.Master = v.now.Members[0]
	}
}

// eligible says why something cannot have a floating address.
func (t *turn) eligible(v *haVip, r HaVipMember) error {
	if err := v.steady(); err != nil {
		return err
	}
	subnet, err := t.subnetOf(r)
	if err != nil {
		return err
	}
	held := 0
	for _, other := range t.c.haVips {
		if slices.Contains(other.now.Members, r.id()) {
			held++
		}
	}
	switch most := t.c.opts.Quotas; {
	case subnet != v.now.Subnet:
		return refuse("havip.subnet", r.id())
	case slices.Contains(v.now.Members, r.id()):
		return refuse("havip.member", r.id())
	case len(v.now.Members) > 0 && v.now.OfInterfaces != (r.Interface != ""):
		return refuse("havip.kind", v.id)
	case len(v.now.Members) >= most.HaVipMembers:
		return refuse("havip.full", v.id)
	case held >= most.HaVipsPerInstance:
		return refuse("havip.many", r.id())
	}
	return nil
}

// subnetOf finds a member's subnet, if it is in a state to be one.
func (t *turn) subnetOf(r HaVipMember) (string, error) {
	if ways(r.Instance != "", r.Interface != "") != 1 {
		return "", refuse("combination", "A network interface or an instance is needed, and not both.")
	}
	if r.Instance != "" {
		i, err := t.instance(r.Instance)
		if err == nil {
			err = t.steadyInstance(r.Instance)
		}
		if err != nil {
			return "", err
		}
		return i.Subnet, nil
	}
	e, err := t.own(r.Interface)
	if err == nil && t.steady(e) != nil {
		err = refuse("address.interface", e.now.ID, e.state())
	}
	if err != nil {
		return "", err
	}
	return e.now.Subnet, nil
}

// UnassociateHaVip takes a floating address from an instance or an interface.
func (c *Cloud) UnassociateHaVip(ctx context.Context, call Call, r HaVipMember) error {
	return c.changeHaVip(ctx, call, "UnassociateHaVip", r.Token, []string{r.HaVip, r.id()}, func(t *turn, v *haVip) error {
		if err := v.steady(); err != nil {
			return err
		}
		if !slices.Contains(v.now.Members, r.id()) || v.now.OfInterfaces != (r.Interface != "") {
			return refuse("havip.stranger", r.id())
		}
		if err := t.steadyInstance(r.Instance); err != nil {
			return err
		}
		if err := t.effect(); err != nil {
			return err
		}
		v.now.Status = HaVipUnbinding
		v.due = t.transition("binding", c.opts.Latency.Bind, func(time.Time) {
			v.due = nil
			v.drop(r.id())
			v.settle()
		})
		return nil
	})
}

func (v *haVip) drop(member string) {
	v.now.Members = slices.DeleteFunc(slices.Clone(v.now.Members), func(id string) bool { return id == member })
}

// leaveHaVips lets what is gone be a member no more.
func (c *Cloud) leaveHaVips(member string) {
	for _, v := range c.haVips {
		if slices.Contains(v.now.Members, member) {
			v.drop(member)
			if v.now.Status == HaVipInUse {
				v.settle()
			}
		}
	}
}

// ClaimHaVip lets a member have a floating address from now on, as it does who announces
// it in its network.
func (c *Cloud) ClaimHaVip(id, member string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agenda.catchUp(time.Now())
	v := c.haVips[id]
	if v == nil {
		return refuse("havip.missing", id)
	}
	if !slices.Contains(v.now.Members, member) {
		return fmt.Errorf("claim %s: %w", id, refuse("havip.stranger", member))
	}
	v.now.Master = member
	return nil
}

// toHaVip puts a public address on a floating one.
func (t *turn) toHaVip(p *eip, r AssociateAddress) error {
	v := t.c.haVips[r.HaVip]
	switch {
	case v == nil:
		return refuse("havip.missing", r.HaVip)
	case p.bound():
		return refuse("address.taken", r.HaVip, p.public)
	case ways(r.Interface != "", r.Instance != "", r.Private.IsValid()) > 0:
		return refuse("combination", "A floating address is needed, and nothing else.")
	}
	if err := v.steady(); err != nil {
		return err
	}
	if public := t.c.seen(v).Public; len(public) > 0 {
		return refuse("address.occupied", v.id, public[0])
	}
	if err := t.effect(); err != nil {
		return err
	}
	p.vip, p.association = v, t.c.id("eipassoc")
	t.way(p, Binding, func(*eip, time.Time, time.Duration) {})
	return nil
}
