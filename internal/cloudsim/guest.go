package cloudsim

import (
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// A Guest is what an instance's metadata service can tell of it.
type Guest struct {
	// Instance has as Interfaces those that are in the machine.
	Instance Instance
	// Interfaces are the same, with what surrounds them.
	Interfaces []GuestInterface
	Region     string
	ZoneID     string
	Account    string
	VPC        VPC
}

// A GuestInterface is one of them, with what surrounds it.
type GuestInterface struct {
	Interface Interface
	Subnet    Subnet
	VPC       VPC
	Groups    []SecurityGroup
	// Cards is how many network cards the instance's type has.
	Cards int
}

// Guest is what the metadata of an instance say now. It is in no log and no
// bucket, but the lag of metadata and the faults on API "Metadata" count, with
// the instance as resource: stale-describe, slow, and 5xx, fail and throttle as
// an *Error. The instance must be running; the error is otherwise an *Error too.
func (c *Cloud) Guest(instance string) (Guest, error) {
	t := c.enter(Call{}, op{api: "Metadata", reads: true, ids: []string{instance}, instance: instance})
	if err := retry.Sleep(c.closing, t.slow(false)+t.slow(true)); err != nil {
		return Guest{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t.now = time.Now()
	c.agenda.catchUp(t.now)
	for _, f := range t.faults {
		switch f.Verb {
		case ServerError:
			return Guest{}, f.say(refuse("server"))
		case Throttle:
			return Guest{}, f.say(refuse("throttled"))
		case Fail:
			return Guest{}, f.say(refuse("value", ""))
		}
	}
	i, err := t.instance(instance)
	if err != nil {
		return Guest{}, err
	}
	if i.State != InstanceRunning && i.State != InstancePending {
		return Guest{}, refuse("instance.state", instance, i.State)
	}
	return c.guest(i, t.sees()), nil
}

func (c *Cloud) guest(i *instance, at time.Time) Guest {
	g := Guest{
		Instance: i.seen(c.recent.since(at), func(e *eni) *Interface {
			seen := e.told(at)
			if seen == nil || e.absent || seen.Attachment == nil || seen.Attachment.Status == Attaching {
				return nil
			}
			return seen
		}).clone(),
		Region: c.opts.Region, ZoneID: c.zone(i.Zone).ID, Account: c.opts.Account,
	}
	g.VPC = c.vpcs[i.VPC].VPC
	for _, e := range g.Instance.Interfaces {
		s := c.subnets[e.Subnet]
		in := GuestInterface{Interface: e, Subnet: s.seen(), VPC: c.vpcs[s.VPC].VPC, Cards: len(c.types[i.Type].Cards)}
		for _, named := range e.Groups {
			in.Groups = append(in.Groups, c.groups[named.ID].SecurityGroup)
		}
		g.Interfaces = append(g.Interfaces, in)
	}
	return g
}

// InstanceAt is the instance that has an interface with the address; empty where
// none has.
func (c *Cloud) InstanceAt(addr netip.Addr) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agenda.catchUp(time.Now())
	for _, e := range c.enis {
		has := slices.ContainsFunc(e.now.IPv4, func(p PrivateIP) bool { return p.Addr == addr }) || slices.Contains(e.now.IPv6, addr)
		if has && e.now.Attachment != nil && e.now.Attachment.Status != Attaching {
			return e.now.Attachment.Instance
		}
	}
	return ""
}
