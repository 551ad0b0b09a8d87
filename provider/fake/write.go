package fake

import (
	"context"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Create implements provider.Provider.
func (p *Provider) Create(ctx context.Context, spec nic.Spec) (seen nic.Seen, err error) {
	err = p.call(ctx, Call{Op: OpCreate, ID: spec.NIC}, func(now time.Time) (effect bool, err error) {
		r := p.find(spec.NIC, now)
		if r == nil {
			if r, err = p.make(spec, now); err != nil {
				return false, err
			}
			effect = true
		}
		switch {
		case r.params != paramsOf(spec):
			return false, invalid("the NIC was made with other parameters")
		case r.state == nic.StateDeleting:
			return false, busy("is being deleted")
		}
		seen = r.seen(p.opts)
		return effect, nil
	})
	return seen, err
}

func (p *Provider) make(spec nic.Spec, now time.Time) (*record, error) {
	if _, err := nic.ParseID(string(spec.NIC)); err != nil {
		return nil, invalid("%v", err)
	}
	mac := spec.MAC
	switch {
	case p.opts.DrawsMACs && !mac.IsZero():
		return nil, invalid("asks for MAC %s, but this provider draws MACs itself", mac)
	case p.opts.DrawsMACs:
		mac = nic.NewMAC()
	case mac.IsZero():
		return nil, invalid("has no MAC, and this provider draws none")
	}
	if used := p.count(now); p.opts.Quota > 0 && used >= p.opts.Quota {
		return nil, exhausted(provider.ScopeAccount, "%d of %d NICs exist", used, p.opts.Quota)
	}
	addrs, err := p.address(spec, now)
	if err != nil {
		return nil, err
	}
	p.made++
	r := &record{
		spec: spec, params: paramsOf(spec), mac: mac, addrs: addrs,
		providerID: fmt.Sprintf("fake-%06d", p.made),
		visible:    now.Add(p.opts.Lag),
	}
	r.begin(now, nic.StateCreating, p.opts.Latency.Create)
	r.advance(now)
	p.nics[spec.NIC] = r
	return r, nil
}

func (p *Provider) count(now time.Time) int {
	for id := range p.nics {
		p.find(id, now)
	}
	return len(p.nics)
}

// Attach implements provider.Provider.
func (p *Provider) Attach(ctx context.Context, id nic.ID, place nic.Place) (seen nic.Seen, err error) {
	err = p.call(ctx, Call{Op: OpAttach, ID: id, Instance: place.Instance}, func(now time.Time) (effect bool, err error) {
		r := p.find(id, now)
		if r == nil || now.Before(r.visible) {
			return false, notFound()
		}
		if effect, err = p.plug(r, place, now); err != nil {
			return false, err
		}
		seen = r.seen(p.opts)
		return effect, nil
	})
	return seen, err
}

func (p *Provider) plug(r *record, place nic.Place, now time.Time) (effect bool, err error) {
	switch {
	case r.state == nic.StateAttached && r.place.Instance == place.Instance:
		return false, nil
	case r.state == nic.StateAttached:
		return false, elsewhere(r.place.Instance)
	case r.state != nic.StateAvailable:
		return false, busy("is %s", r.state)
	case !p.knows(place.Instance):
		return false, invalid("there is no instance %q", place.Instance)
	}
	if err := p.wrongZone(r, place.Instance); err != nil {
		return false, err
	}
	used, limit := p.used(place.Instance, now), p.opts.NICsPerInstance
	if r.spec.Cloud.Trunk {
		used, limit = p.plugged(place.Instance, true, now), p.opts.Members
	}
	if used >= limit {
		return false, exhausted(provider.ScopeNode, "%d of %d slots of %s are in use", used, limit, place.Instance)
	}
	if r.index = p.nextIndex(place.Instance, now); p.squatted[at(place.Instance, r.index)] {
		p.met[at(place.Instance, r.index)] = true
		return false, busy("%s already has an interface attached at device index %d", place.Instance, r.index)
	}
	r.place = place
	r.begin(now, nic.StateAttaching, p.opts.Latency.Attach)
	r.advance(now)
	return true, nil
}

// Detach implements provider.Provider.
func (p *Provider) Detach(ctx context.Context, id nic.ID, instance nic.InstanceID) error {
	return p.call(ctx, Call{Op: OpDetach, ID: id, Instance: instance}, func(now time.Time) (effect bool, err error) {
		r := p.find(id, now)
		switch {
		case r == nil:
			return false, notFound()
		case r.place == nic.Place{}:
			return false, nil
		case r.place.Instance != instance:
			return false, elsewhere(r.place.Instance)
		case r.state == nic.StateAttaching:
			return false, busy("is %s", r.state)
		case r.state == nic.StateDetaching:
			return false, nil
		}
		r.begin(now, nic.StateDetaching, p.opts.Latency.Detach)
		r.advance(now)
		return true, nil
	})
}

// Delete implements provider.Provider.
func (p *Provider) Delete(ctx context.Context, id nic.ID) error {
	return p.call(ctx, Call{Op: OpDelete, ID: id}, func(now time.Time) (effect bool, err error) {
		r := p.find(id, now)
		switch {
		case r == nil:
			return false, notFound()
		case r.state == nic.StateDeleting:
			return false, nil
		case r.state != nic.StateAvailable:
			return false, busy("is %s", r.state)
		}
		r.begin(now, nic.StateDeleting, p.opts.Latency.Delete)
		p.find(id, now)
		return true, nil
	})
}
