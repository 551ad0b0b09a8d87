package eni

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// Get implements provider.Provider. It asks by NICs and never by interface ids:
// there is no id to ask by after a restart.
func (p *Provider) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	fail := p.failing("get", "")
	all, err := p.look(ctx, ids...)
	if err != nil {
		return nil, fail(err)
	}
	got := map[nic.ID]nic.Seen{}
	for id, f := range all {
		p.mend(ctx, f)
		if got[id], err = p.seen(ctx, f); err != nil {
			return nil, fail(err)
		}
	}
	return got, nil
}

// List implements provider.Provider.
func (p *Provider) List(ctx context.Context) ([]nic.Seen, error) {
	fail := p.failing("list", "")
	byNIC, err := p.all(ctx)
	if err != nil {
		return nil, fail(err)
	}
	var list []nic.Seen
	for id, twins := range byNIC {
		if p.gone(twins[0], p.recent.of(id)) {
			continue
		}
		p.mend(ctx, twins[0])
		seen, err := p.seen(ctx, twins[0])
		if err != nil {
			return nil, fail(err)
		}
		list = append(list, seen)
	}
	slices.SortFunc(list, func(a, b nic.Seen) int { return cmp.Compare(a.NIC, b.NIC) })
	return list, nil
}

// all are this cluster's interfaces.
func (p *Provider) all(ctx context.Context) (map[nic.ID][]Interface, error) {
	if err := p.turn(p.traits.Interfaces)(ctx); err != nil {
		return nil, err
	}
	asked := time.Now()
	all, err := p.cloud.Interfaces(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.isTrunk() {
			p.tend(ctx, f)
		}
	}
	return p.sorted(all, asked), nil
}

// gone says of what the cloud shows that we know it is not there any more.
func (p *Provider) gone(f Interface, d deeds) bool {
	return d.deleted() && f.Plug == nil && (d.gone || p.traits.Again == 0)
}

// look returns the interfaces of the NICs that the cloud shows. What was deleted and is
// shown still is not among them.
func (p *Provider) look(ctx context.Context, ids ...nic.ID) (map[nic.ID]Interface, error) {
	twins, err := p.lookAll(ctx, ids...)
	if err != nil {
		return nil, err
	}
	all := map[nic.ID]Interface{}
	for id, fs := range twins {
		if !p.gone(fs[0], p.recent.of(id)) {
			all[id] = fs[0]
		}
	}
	return all, nil
}

// lookAll is look with what has been deleted, and with a NIC's other interfaces
// where there are several: see choose.
func (p *Provider) lookAll(ctx context.Context, ids ...nic.ID) (map[nic.ID][]Interface, error) {
	known := slices.DeleteFunc(slices.Clone(ids), func(id nic.ID) bool { _, err := nic.ParseID(string(id)); return err != nil })
	return p.interfaces.Ask(ctx, known...)
}

// describe returns our interfaces of some NICs, each NIC's best one first. It is one batch of lookAll: its first call has had its turn.
func (p *Provider) describe(ctx context.Context, ids []nic.ID) (map[nic.ID][]Interface, error) {
	asked := time.Now()
	all, err := p.cloud.Interfaces(ctx, ids)
	if err != nil {
		return nil, err
	}
	return p.sorted(all, asked), nil
}

// sorted are interfaces by their NICs, as the cloud showed them to a question of that time.
func (p *Provider) sorted(all []Interface, asked time.Time) map[nic.ID][]Interface {
	got := map[nic.ID][]Interface{}
	for _, f := range all {
		if f.isTrunk() {
			continue
		}
		if _, err := nic.ParseID(string(f.nic())); err != nil {
			p.opts.Log.Warn("interface has the tag of this cluster and of no NIC: left alone", "interface", f.ID, "tag", string(f.nic()))
			continue
		}
		got[f.nic()] = append(got[f.nic()], f)
	}
	for id, fs := range got {
		p.choose(id, fs)
		p.recent.shown(fs[0], asked)
	}
	return got
}

// choose puts that interface first that is the NIC, should there be several: one
// that is plugged in, or else the one with the lowest id. There should never be;
// Delete deletes them all.
func (p *Provider) choose(id nic.ID, fs []Interface) {
	slices.SortFunc(fs, func(a, b Interface) int {
		if (a.Plug != nil) != (b.Plug != nil) {
			if a.Plug != nil {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.ID, b.ID)
	})
	if len(fs) > 1 {
		p.opts.Log.Error("several interfaces carry one NIC's tag; the others go when it is deleted", "nic", id, "interface", fs[0].ID, "other", fs[1].ID)
	}
}

// seen says what there is of an interface in the contract's words.
func (p *Provider) seen(ctx context.Context, f Interface) (nic.Seen, error) {
	s := nic.Seen{NIC: f.nic(), ProviderID: f.ID, MAC: f.MAC, Addrs: slices.Clone(f.Addrs), Subnet: f.Subnet}
	s.State, s.Place = stateOf(f, p.recent.of(f.nic()))
	if s.State == nic.StateAttached || s.State == nic.StateDetaching {
		s.Device = nic.Device{Kind: nic.Found, MAC: f.MAC, MTU: p.traits.MTU}
		if f.Plug.Trunk != "" {
			if err := p.asMember(ctx, f, &s); err != nil {
				return nic.Seen{}, err
			}
		}
	}
	if f.Subnet == "" || len(f.Addrs) == 0 {
		return s, nil
	}
	net, err := p.subnetOf(ctx, f.Subnet)
	if err != nil {
		return nic.Seen{}, err
	}
	s.Subnets = net.of(f.Addrs)
	return s, nil
}

// stale is how long after our own attach a read without it is held for a stale
// one. Terraform holds such reads for stale for three minutes; here a NIC that
// really fell off would be told too late.
const stale = 10 * time.Second

// stateOf is the NIC's state and place by what the cloud says, and by what we have
// just done where the cloud does not show it yet.
func stateOf(f Interface, d deeds) (nic.State, nic.Place) {
	switch {
	case d.deleted():
		return nic.StateDeleting, nic.Place{}
	case f.Plug == nil && time.Since(d.attachedAt) < stale:
		return nic.StateAttaching, d.place
	case f.Plug == nil:
		return f.State, nic.Place{}
	}
	place := nic.Place{Node: f.node(), Instance: f.Plug.Instance}
	if d.place.Instance == place.Instance {
		place.Node = d.place.Node
	}
	if f.Plug.ID == d.detached {
		return nic.StateDetaching, place
	}
	return f.State, place
}
