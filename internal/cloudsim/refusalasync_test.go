package cloudsim_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// trunkTypes are such as can have trunks, and one that cannot.
var trunkTypes = []cloudsim.InstanceType{
	{Name: "m5.large", MaxInterfaces: 3, Cards: []int{3}, IPv4PerInterface: 4, IPv6PerInterface: 2, Members: 2},
	{Name: "old", MaxInterfaces: 2, Cards: []int{2}, IPv4PerInterface: 2},
}

// slow is a world whose cloud has the states of Alibaba Cloud, and trunks.
func slow(t *testing.T) *world {
	t.Helper()
	return newWorld(t, cloudsim.Options{
		Asynchronous: true, Latency: fixed,
		Quotas: cloudsim.Quotas{InterfacesPerGroup: 8, HaVips: 3, HaVipMembers: 2, HaVipsPerInstance: 1},
		Types:  trunkTypes,
	})
}

// waits lets all transitions end that are under way.
func waits() { time.Sleep(time.Minute) }

// plugged is a new interface in the instance, as a card or a trunk's member.
func (w *world) plugged(r cloudsim.CreateInterface, trunk string) cloudsim.Interface {
	w.t.Helper()
	e := w.ready(r)
	if err := w.enter(e.ID, trunk); err != nil {
		w.t.Fatal(err)
	}
	waits()
	return w.get(e.ID)
}

func (w *world) enter(id, trunk string) error {
	_, err := w.AttachInterface(w.t.Context(), w.call, cloudsim.AttachInterface{Interface: id, Instance: w.node.ID, Device: cloudsim.AnyDevice, Trunk: trunk})
	return err
}

func (w *world) trunk() cloudsim.Interface {
	return w.plugged(cloudsim.CreateInterface{Kind: "trunk"}, "")
}

var refusalsOfTrunks = map[string]func(*world) error{
	"eni.state": func(w *world) error {
		w = slow(w.t)
		return w.DeleteInterface(w.t.Context(), w.call, w.create(cloudsim.CreateInterface{}).ID)
	},
	"trunk.missing": func(w *world) error { return w.enter(w.ready(cloudsim.CreateInterface{}).ID, "eni-"+nobody) },
	"trunk.type": func(w *world) error {
		return w.enter(w.ready(cloudsim.CreateInterface{}).ID, w.node.Interfaces[0].ID)
	},
	"trunk.kind": func(w *world) error {
		w = slow(w.t)
		return w.enter(w.ready(cloudsim.CreateInterface{}).ID, w.node.Interfaces[0].ID)
	},
	"trunk.state": func(w *world) error {
		w = slow(w.t)
		return w.enter(w.ready(cloudsim.CreateInterface{}).ID, w.ready(cloudsim.CreateInterface{Kind: "trunk"}).ID)
	},
	"trunk.stranger": func(w *world) error {
		w = slow(w.t)
		member := w.plugged(cloudsim.CreateInterface{}, w.trunk().ID)
		return w.DetachInterface(w.t.Context(), w.call, cloudsim.DetachInterface{Interface: member.ID, Instance: w.node.ID, Trunk: member.ID})
	},
	"trunk.members": func(w *world) error {
		w = slow(w.t)
		trunk := w.trunk()
		w.plugged(cloudsim.CreateInterface{}, trunk.ID)
		return w.detach(trunk.Attachment.ID, false)
	},
}

var refusalsOfLimits = map[string]func(*world) error{
	"group.full": func(w *world) error {
		w = slow(w.t)
		for range 8 {
			w.create(cloudsim.CreateInterface{Groups: []string{"sg-1"}})
		}
		return w.refused(cloudsim.CreateInterface{Groups: []string{"sg-1"}})
	},
	"ip.repeated": func(w *world) error {
		a := cloudsim.WantedIP{Addr: netip.MustParseAddr("10.0.1.77")}
		return w.refused(cloudsim.CreateInterface{IPv4: []cloudsim.WantedIP{a, a}})
	},
	"ip6.outside": func(w *world) error {
		return w.refused(cloudsim.CreateInterface{IPv6: []netip.Addr{netip.MustParseAddr("2001:db8:9::9")}})
	},
	"ip.unattached":  func(w *world) error { return w.refused(cloudsim.CreateInterface{IPv4Count: 12}) },
	"ip6.unattached": func(w *world) error { return w.refused(cloudsim.CreateInterface{IPv6Count: new(51)}) },
	"ip6.limit": func(w *world) error {
		return w.attachTo(w.node.ID, w.ready(cloudsim.CreateInterface{IPv6Count: new(11)}).ID, 1, nil)
	},
	"ip6.unsupported": func(w *world) error {
		w = slow(w.t)
		old := must(w.AddInstances(cloudsim.RunInstances{Type: "old", Subnet: w.near.ID}))(w.t)
		return w.attachTo(old[0].ID, w.ready(cloudsim.CreateInterface{IPv6Count: new(1)}).ID, 1, nil)
	},
}

func (w *world) unbind(allocation, from string) error {
	return w.UnbindAddress(w.t.Context(), w.call, cloudsim.UnbindAddress{Allocation: allocation, From: from})
}

var refusalsOfBinding = map[string]func(*world) error{
	"address.occupied": func(w *world) error {
		must(w.associate(cloudsim.AssociateAddress{Allocation: w.public().Allocation, Instance: w.node.ID}))(w.t)
		_, err := w.associate(cloudsim.AssociateAddress{Allocation: w.public().Allocation, Instance: w.node.ID, AllowReassociation: new(false)})
		return err
	},
	"address.between": func(w *world) error {
		w = slow(w.t)
		p := w.public()
		must(w.associate(cloudsim.AssociateAddress{Allocation: p.Allocation, Instance: w.node.ID}))(w.t)
		return w.ReleaseAddress(w.t.Context(), w.call, p.Allocation)
	},
	"address.free": func(w *world) error { return w.unbind(w.public().Allocation, "") },
	"address.elsewhere": func(w *world) error {
		p := w.public()
		must(w.associate(cloudsim.AssociateAddress{Allocation: p.Allocation, Instance: w.node.ID}))(w.t)
		return w.unbind(p.Allocation, w.another.ID)
	},
	"address.interface": func(w *world) error {
		w = slow(w.t)
		e := w.ready(cloudsim.CreateInterface{})
		must("", w.enter(e.ID, ""))(w.t)
		_, err := w.associate(cloudsim.AssociateAddress{Allocation: w.public().Allocation, Interface: e.ID})
		return err
	},
}

// float is a new floating address; all its members have got it.
func (w *world) float(members ...cloudsim.HaVipMember) cloudsim.HaVip {
	w.t.Helper()
	v := must(w.CreateHaVip(w.t.Context(), w.call, cloudsim.NewHaVip{Subnet: w.near.ID}))(w.t)
	for _, m := range members {
		waits()
		m.HaVip = v.ID
		must("", w.AssociateHaVip(w.t.Context(), w.call, m))(w.t)
	}
	waits()
	return v
}

func (w *world) member(r cloudsim.HaVipMember) error {
	return w.AssociateHaVip(w.t.Context(), w.call, r)
}

var refusalsOfHaVips = map[string]func(*world) error{
	"havip.missing": func(w *world) error { return w.DeleteHaVip(w.t.Context(), w.call, "havip-"+nobody, "") },
	"havip.quota": func(w *world) error {
		w = slow(w.t)
		for range 3 {
			w.float()
		}
		_, err := w.CreateHaVip(w.t.Context(), w.call, cloudsim.NewHaVip{Subnet: w.near.ID})
		return err
	},
	"havip.made": func(w *world) error {
		w = slow(w.t)
		v := must(w.CreateHaVip(w.t.Context(), w.call, cloudsim.NewHaVip{Subnet: w.near.ID}))(w.t)
		return w.member(cloudsim.HaVipMember{HaVip: v.ID, Instance: w.node.ID})
	},
	"havip.between": func(w *world) error {
		w = slow(w.t)
		m := cloudsim.HaVipMember{HaVip: w.float().ID, Instance: w.node.ID}
		must("", w.member(m))(w.t)
		return w.UnassociateHaVip(w.t.Context(), w.call, m)
	},
	"havip.inuse": func(w *world) error {
		w = slow(w.t)
		return w.DeleteHaVip(w.t.Context(), w.call, w.float(cloudsim.HaVipMember{Instance: w.node.ID}).ID, "")
	},
	"havip.public": func(w *world) error {
		w = slow(w.t)
		v := w.float()
		must(w.associate(cloudsim.AssociateAddress{Allocation: w.public().Allocation, HaVip: v.ID}))(w.t)
		return w.DeleteHaVip(w.t.Context(), w.call, v.ID, "")
	},
	"havip.full": func(w *world) error {
		w = slow(w.t)
		v := w.float(cloudsim.HaVipMember{Instance: w.node.ID}, cloudsim.HaVipMember{Instance: w.another.ID})
		third := must(w.AddInstances(cloudsim.RunInstances{Type: "old", Subnet: w.near.ID}))(w.t)
		return w.member(cloudsim.HaVipMember{HaVip: v.ID, Instance: third[0].ID})
	},
	"havip.many": func(w *world) error {
		w = slow(w.t)
		w.float(cloudsim.HaVipMember{Instance: w.node.ID})
		return w.member(cloudsim.HaVipMember{HaVip: w.float().ID, Instance: w.node.ID})
	},
	"havip.kind": func(w *world) error {
		w = slow(w.t)
		return w.member(cloudsim.HaVipMember{HaVip: w.float(cloudsim.HaVipMember{Instance: w.node.ID}).ID, Interface: w.another.Interfaces[0].ID})
	},
	"havip.member": func(w *world) error {
		w = slow(w.t)
		return w.member(cloudsim.HaVipMember{HaVip: w.float(cloudsim.HaVipMember{Instance: w.node.ID}).ID, Instance: w.node.ID})
	},
	"havip.stranger": func(w *world) error {
		w = slow(w.t)
		return w.UnassociateHaVip(w.t.Context(), w.call, cloudsim.HaVipMember{HaVip: w.float().ID, Instance: w.node.ID})
	},
	"havip.subnet": func(w *world) error {
		w = slow(w.t)
		return w.member(cloudsim.HaVipMember{HaVip: w.float().ID, Interface: w.ready(cloudsim.CreateInterface{Subnet: w.far.ID}).ID})
	},
}
