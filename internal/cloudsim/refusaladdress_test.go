package cloudsim_test

import (
	"errors"
	"net/netip"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

func (w *world) assign(r cloudsim.AssignIPv4) error {
	_, err := w.AssignIPv4(w.t.Context(), w.call, r)
	return err
}

func (w *world) associate(r cloudsim.AssociateAddress) (string, error) {
	return w.AssociateAddress(w.t.Context(), w.call, r)
}

var refusalsOfAddresses = map[string]func(*world) error{
	"ip.nomove": func(w *world) error {
		a, b := w.create(cloudsim.CreateInterface{IPv4Count: 2}), w.create(cloudsim.CreateInterface{})
		return w.assign(cloudsim.AssignIPv4{Interface: b.ID, Addrs: []netip.Addr{a.IPv4[1].Addr, a.IPv4[2].Addr}})
	},
	"ip.primary.other": func(w *world) error {
		a, b := w.create(cloudsim.CreateInterface{}), w.create(cloudsim.CreateInterface{})
		return w.assign(cloudsim.AssignIPv4{Interface: b.ID, Addrs: []netip.Addr{a.Primary()}, AllowReassignment: true})
	},
	"ip.notassigned": func(w *world) error {
		e := w.create(cloudsim.CreateInterface{IPv4Count: 1})
		again := cloudsim.UnassignIPv4{Interface: e.ID, Addrs: []netip.Addr{e.IPv4[1].Addr}}
		if err := w.UnassignIPv4(w.t.Context(), w.call, again); err != nil {
			return err
		}
		return w.UnassignIPv4(w.t.Context(), w.call, again)
	},
	"ip.primary.own": func(w *world) error {
		e := w.create(cloudsim.CreateInterface{})
		return w.UnassignIPv4(w.t.Context(), w.call, cloudsim.UnassignIPv4{Interface: e.ID, Addrs: []netip.Addr{e.Primary()}})
	},
	"address.quota": func(w *world) error {
		w.public()
		w.public()
		_, err := w.AllocateAddress(w.t.Context(), w.call, cloudsim.NewAddress{})
		return err
	},
	"address.missing": func(w *world) error {
		return w.ReleaseAddress(w.t.Context(), w.call, "eipalloc-"+nobody)
	},
	"association.missing": func(w *world) error {
		return w.DisassociateAddress(w.t.Context(), w.call, "eipassoc-"+nobody)
	},
	"address.inuse": func(w *world) error {
		p := w.public()
		must(w.associate(cloudsim.AssociateAddress{Allocation: p.Allocation, Instance: w.node.ID}))(w.t)
		return w.ReleaseAddress(w.t.Context(), w.call, p.Allocation)
	},
	"address.taken": func(w *world) error {
		p := w.public()
		must(w.associate(cloudsim.AssociateAddress{Allocation: p.Allocation, Instance: w.node.ID}))(w.t)
		_, err := w.associate(cloudsim.AssociateAddress{Allocation: p.Allocation, Instance: w.another.ID, AllowReassociation: new(false)})
		return err
	},
	"missing": func(w *world) error {
		return w.UnassignIPv4(w.t.Context(), w.call, cloudsim.UnassignIPv4{Interface: w.create(cloudsim.CreateInterface{}).ID})
	},
}

// deny refuses everything.
type deny struct{}

func (deny) Allow(cloudsim.Call, []cloudsim.Resource) error { return errors.New("not you") }

// planned is the error of a create that a fault strikes.
func (w *world) planned(f cloudsim.Fault) error {
	must(w.Inject(f))(w.t)
	return w.refused(cloudsim.CreateInterface{})
}

func (w *world) list(d cloudsim.Describe) error {
	_, err := w.DescribeInterfaces(w.t.Context(), w.call, d)
	return err
}

var refusalsOfReading = map[string]func(*world) error{
	"throttled": func(w *world) error { return w.planned(cloudsim.Fault{Verb: cloudsim.Throttle}) },
	"conflict":  func(w *world) error { return w.planned(cloudsim.Fault{Verb: cloudsim.Conflict}) },
	"server":    func(w *world) error { return w.planned(cloudsim.Fault{Verb: cloudsim.ServerError}) },
	"zone.missing": func(w *world) error {
		_, err := w.DescribeZones(w.t.Context(), w.call, cloudsim.Describe{IDs: []string{"mars-1a"}})
		return err
	},
	"filter.unknown": func(w *world) error {
		return w.list(cloudsim.Describe{Filters: []cloudsim.Filter{{Name: "colour", Values: []string{"red"}}}})
	},
	"attribute.unknown": func(w *world) error {
		_, err := w.DescribeInterfaceAttribute(w.t.Context(), w.call, w.node.Interfaces[0].ID, "colour")
		return err
	},
	"page.size":  func(w *world) error { return w.list(cloudsim.Describe{MaxResults: 1001}) },
	"page.token": func(w *world) error { return w.list(cloudsim.Describe{NextToken: "telephone"}) },
	"region": func(w *world) error {
		w.call.Region = "mars-1"
		return w.list(cloudsim.Describe{})
	},
	"denied": func(w *world) error {
		c := cloudsim.New(cloudsim.Options{Policy: deny{}})
		_, err := c.DescribeInterfaces(w.t.Context(), cloudsim.Call{}, cloudsim.Describe{})
		return err
	},
	"dryrun": func(w *world) error {
		w.call.DryRun = true
		return w.refused(cloudsim.CreateInterface{})
	},
}
