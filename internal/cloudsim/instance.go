package cloudsim

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// An InstanceState is where an instance is in its life.
type InstanceState string

// The states.
const (
	InstancePending    InstanceState = "pending"
	InstanceRunning    InstanceState = "running"
	InstanceStopping   InstanceState = "stopping"
	InstanceStopped    InstanceState = "stopped"
	InstanceShutting   InstanceState = "shutting-down"
	InstanceTerminated InstanceState = "terminated"
)

// An Instance is a virtual machine.
type Instance struct {
	ID, Type string
	State    InstanceState
	// Reservation is the call that made it.
	Reservation string
	// VPC, Subnet, Zone and Private are its first interface's.
	VPC, Subnet, Zone string
	Private, Public   netip.Addr
	Image             string
	Launched          time.Time
	Owner             string
	Groups            []Group
	Tags              Tags
	// Interfaces are those that have a card in it, by card and index: no members.
	Interfaces []Interface
}

type instance struct {
	Instance
	n    int
	enis []*eni // by card and index
	due  *event
}

// instance finds one that a call names.
func (t *turn) instance(id string) (*instance, error) {
	i := t.c.instances[id]
	switch {
	case i == nil && !wellFormed(id, "i"):
		return nil, refuse("instance.malformed", id)
	case i == nil:
		return nil, refuse("instance.missing", id)
	}
	t.entry.Instance = id
	return i, nil
}

// seen is the instance with its interfaces, as look sees those. It shares what
// it has with the cloud: see clone.
func (i *instance) seen(also map[*eni]bool, look func(*eni) *Interface) Instance {
	v := i.Instance
	see := func(e *eni) {
		if s := look(e); s != nil && s.Attachment != nil && s.Attachment.Instance == i.ID && s.Attachment.Trunk == "" {
			v.Interfaces = append(v.Interfaces, *s)
		}
	}
	for _, e := range i.enis {
		see(e)
	}
	for e := range also {
		if !slices.Contains(i.enis, e) {
			see(e)
		}
	}
	slices.SortFunc(v.Interfaces, func(a, b Interface) int { return a.Attachment.order() - b.Attachment.order() })
	if len(v.Interfaces) > 0 && v.Interfaces[0].Attachment.Device == 0 && len(v.Interfaces[0].IPv4) > 0 {
		ip := v.Interfaces[0].IPv4[0]
		v.Private = ip.Addr
		if ip.Association != nil {
			v.Public = ip.Association.Public
		}
	}
	return v
}

var instanceFilters = filterTable[Instance]{
	"instance-id":         func(i *Instance) []string { return one(i.ID) },
	"instance-state-name": func(i *Instance) []string { return one(string(i.State)) },
	"instance-type":       func(i *Instance) []string { return one(i.Type) },
	"vpc-id":              func(i *Instance) []string { return one(i.VPC) },
	"subnet-id":           func(i *Instance) []string { return one(i.Subnet) },
	"availability-zone":   func(i *Instance) []string { return one(i.Zone) },
	"private-ip-address":  func(i *Instance) []string { return one(i.Private.String()) },
	"private-dns-name":    func(i *Instance) []string { return ofInterfaces(i, func(e Interface) string { return e.IPv4[0].DNS }) },
	"network-interface.network-interface-id": func(i *Instance) []string {
		return ofInterfaces(i, func(e Interface) string { return e.ID })
	},
	"network-interface.mac-address": func(i *Instance) []string {
		return ofInterfaces(i, func(e Interface) string { return e.MAC.String() })
	},
	"network-interface.addresses.private-ip-address": func(i *Instance) []string {
		return ofInterfaces(i, func(e Interface) string { return e.Primary().String() })
	},
}

func ofInterfaces(i *Instance, get func(Interface) string) []string {
	var all []string
	for _, e := range i.Interfaces {
		if len(e.IPv4) > 0 {
			all = append(all, get(e))
		}
	}
	return all
}

// DescribeInstances lists instances. Filters: instance-id, instance-state-name,
// instance-type, vpc-id, subnet-id, availability-zone, private-ip-address,
// private-dns-name, network-interface.{network-interface-id, mac-address,
// addresses.private-ip-address}, tag:<key>, tag-key.
func (c *Cloud) DescribeInstances(ctx context.Context, call Call, d Describe) (Page[Instance], error) {
	p, err := describe(ctx, c, call, d, listing[Instance]{
		api: "DescribeInstances", filters: instanceFilters, tags: func(i *Instance) Tags { return i.Tags },
		all: func(t *turn) []numbered[Instance] {
			at := t.sees()
			also := c.recent.since(at)
			look := func(e *eni) *Interface { return e.at(at) }
			var all []numbered[Instance]
			ids := d.IDs
			if len(ids) == 0 {
				ids = d.exact("instance-id")
			}
			for _, id := range ids {
				if i := c.instances[id]; i != nil {
					all = append(all, numbered[Instance]{i.n, i.ID, new(i.seen(also, look))})
				}
			}
			if len(ids) > 0 {
				return all
			}
			for _, i := range c.instances {
				all = append(all, numbered[Instance]{i.n, i.ID, new(i.seen(also, look))})
			}
			return all
		},
		missing: func(id string) error {
			if !wellFormed(id, "i") {
				return refuse("instance.malformed", id)
			}
			return refuse("instance.missing", id)
		},
	})
	for n := range p.Items {
		p.Items[n] = p.Items[n].clone()
	}
	return p, err
}

// clone is for who may change it.
func (i Instance) clone() Instance {
	i.Tags, i.Groups, i.Interfaces = i.Tags.clone(), slices.Clone(i.Groups), slices.Clone(i.Interfaces)
	for n := range i.Interfaces {
		i.Interfaces[n] = i.Interfaces[n].clone()
	}
	return i
}

// Instances are all as they are, in the order of making, without their
// interfaces.
func (c *Cloud) Instances() []Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agenda.catchUp(time.Now())
	var all []Instance
	for _, i := range c.instances {
		v := i.Instance
		v.Tags = i.Tags.clone()
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b Instance) int { return c.instances[a.ID].n - c.instances[b.ID].n })
	return all
}
