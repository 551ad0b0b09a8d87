package eni

import (
	"context"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// zoneKept is for the zone that an instance is in, which never changes.
const zoneKept = 24 * time.Hour

// instanceKept is how long what the cloud said of an instance may stand for it, where that
// lets a NIC in: half as long as it is known which indexes were asked for since.
const instanceKept = heldFor / 2

func noInstance(kind error, id nic.InstanceID) error {
	return &provider.Error{
		Kind: kind, Scope: provider.ScopeNode,
		Err: fmt.Errorf("no instance %s: is it of this region and account, and is that the id that the config gives its node?", id),
	}
}

// instanceOf asks anew for an instance; there being none is of that kind.
func (p *Provider) instanceOf(ctx context.Context, id nic.InstanceID, none error) (Instance, error) {
	if !p.traits.InstanceID.MatchString(string(id)) {
		if err := ctx.Err(); err != nil {
			return Instance{}, provider.NoAnswer(err)
		}
		return Instance{}, noInstance(none, id)
	}
	all, err := p.instances.Ask(ctx, id)
	if err != nil {
		return Instance{}, err
	}
	m, ok := all[id]
	if !ok {
		return Instance{}, noInstance(none, id)
	}
	p.zones.Put(id, m.Zone)
	p.known.Put(id, m)
	return m, nil
}

func (p *Provider) zoneOf(ctx context.Context, id nic.InstanceID) (string, error) {
	if zone, ok := p.zones.Get(id); ok {
		return zone, nil
	}
	m, err := p.instanceOf(ctx, id, provider.ErrInvalid)
	return m.Zone, err
}

// takes says why an instance takes no NIC at present; nil if it does.
func (m Instance) takes(id nic.InstanceID) error {
	switch m.Power {
	case Ended, Ending:
		return noInstance(provider.ErrInvalid, id)
	case Pending, Stopping:
		return &provider.Error{
			Kind: provider.ErrBusy, Scope: provider.ScopeNode, RetryAfter: 2 * time.Second,
			Err: fmt.Errorf("%s is %s", id, m.Power),
		}
	}
	return nil
}

// Off implements provider.Powered. An instance that has ended never runs again.
func (p *Provider) Off(ctx context.Context, instance nic.InstanceID) (bool, error) {
	m, err := p.instanceOf(ctx, instance, provider.ErrNotFound)
	if err != nil {
		return false, p.failing("off", "")(err)
	}
	return m.Power == Stopped || m.Power == Ended, nil
}
