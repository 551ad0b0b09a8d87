package cloudsim_test

import (
	"net/netip"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// ready is a new interface that is available.
func (w *world) ready(r cloudsim.CreateInterface) cloudsim.Interface {
	w.t.Helper()
	e := w.create(r)
	time.Sleep(fixed.Create.Min)
	return e
}

func (w *world) attachTo(instance, id string, device int, card *int) error {
	_, err := w.AttachInterface(w.t.Context(), w.call, cloudsim.AttachInterface{Interface: id, Instance: instance, Device: device, Card: card})
	return err
}

func (w *world) detach(attachment string, force bool) error {
	return w.DetachInterface(w.t.Context(), w.call, cloudsim.DetachInterface{Attachment: attachment, Force: force})
}

var refusalsOfAttaching = map[string]func(*world) error{
	"eni.missing": func(w *world) error { return w.attachTo(w.node.ID, "eni-"+nobody, 1, nil) },
	"eni.malformed": func(w *world) error {
		return w.DeleteInterface(w.t.Context(), w.call, "eni-telephone")
	},
	"eni.pending": func(w *world) error {
		return w.attachTo(w.node.ID, w.create(cloudsim.CreateInterface{}).ID, 1, nil)
	},
	"eni.busy": func(w *world) error {
		e := w.ready(cloudsim.CreateInterface{})
		w.attach(e.ID, 1)
		return w.DeleteInterface(w.t.Context(), w.call, e.ID)
	},
	"eni.first": func(w *world) error {
		return w.DeleteInterface(w.t.Context(), w.call, w.node.Interfaces[0].ID)
	},
	"eni.inuse": func(w *world) error {
		e := w.ready(cloudsim.CreateInterface{})
		w.attach(e.ID, 1)
		return w.attachTo(w.another.ID, e.ID, 1, nil)
	},
	"eni.managed": func(w *world) error {
		ids := must(w.Plant(cloudsim.Foreign{Subnet: w.near.ID, Requester: "amazon-elb"}))(w.t)
		return w.DeleteInterface(w.t.Context(), w.call, ids[0])
	},
	"attachment.missing": func(w *world) error { return w.detach("eni-attach-"+nobody, false) },
	"attachment.state": func(w *world) error {
		return w.detach(w.attach(w.ready(cloudsim.CreateInterface{}).ID, 1).ID, false)
	},
	"attachment.primary": func(w *world) error {
		return w.detach(w.node.Interfaces[0].Attachment.ID, true)
	},
	"attachment.managed": func(w *world) error {
		ids := must(w.Plant(cloudsim.Foreign{Subnet: w.near.ID, Requester: "amazon-elb", Instance: w.node.ID}))(w.t)
		return w.detach(w.get(ids[0]).Attachment.ID, false)
	},
	"index.inuse": func(w *world) error {
		return w.attachTo(w.node.ID, w.ready(cloudsim.CreateInterface{}).ID, 0, nil)
	},
	"index.range": func(w *world) error {
		return w.attachTo(w.node.ID, w.ready(cloudsim.CreateInterface{}).ID, 3, nil)
	},
	"card.range": func(w *world) error {
		return w.attachTo(w.node.ID, w.ready(cloudsim.CreateInterface{}).ID, 1, new(1))
	},
	"attach.limit": func(w *world) error {
		for n := range 2 {
			w.attach(w.ready(cloudsim.CreateInterface{}).ID, n+1)
		}
		return w.attachTo(w.node.ID, w.ready(cloudsim.CreateInterface{}).ID, 3, nil)
	},
	"attach.zone": func(w *world) error {
		return w.attachTo(w.node.ID, w.ready(cloudsim.CreateInterface{Subnet: w.far.ID}).ID, 1, nil)
	},
	"attach.vpc": func(w *world) error {
		v := must(w.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.1.0.0/16")}))(w.t)
		s := must(w.AddSubnet(cloudsim.Subnet{VPC: v.ID, Zone: w.near.Zone, CIDR: netip.MustParsePrefix("10.1.0.0/24")}))(w.t)
		return w.attachTo(w.node.ID, w.ready(cloudsim.CreateInterface{Subnet: s.ID}).ID, 1, nil)
	},
	"instance.missing": func(w *world) error {
		return w.attachTo("i-"+nobody, w.ready(cloudsim.CreateInterface{}).ID, 1, nil)
	},
	"instance.malformed": func(w *world) error {
		return w.attachTo("telephone", w.ready(cloudsim.CreateInterface{}).ID, 1, nil)
	},
	"instance.state": func(w *world) error {
		e := w.ready(cloudsim.CreateInterface{})
		must(w.StopInstances(w.t.Context(), w.call, w.node.ID))(w.t)
		return w.attachTo(w.node.ID, e.ID, 1, nil)
	},
	"instance.many": func(w *world) error {
		w.attach(w.ready(cloudsim.CreateInterface{}).ID, 1)
		_, err := w.AssociateAddress(w.t.Context(), w.call, cloudsim.AssociateAddress{Allocation: w.public().Allocation, Instance: w.node.ID})
		return err
	},
	"ip.limit": func(w *world) error {
		return w.attachTo(w.node.ID, w.ready(cloudsim.CreateInterface{IPv4Count: 10}).ID, 1, nil)
	},
}

// public is a new public address.
func (w *world) public() cloudsim.Address {
	w.t.Helper()
	return must(w.AllocateAddress(w.t.Context(), w.call, cloudsim.NewAddress{}))(w.t)
}
