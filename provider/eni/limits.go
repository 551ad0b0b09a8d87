package eni

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

const (
	typeKept = 24 * time.Hour
	// shippedKept is how long the shipped table is taken where the cloud did not say.
	shippedKept = time.Minute
)

// A Table says what a cloud's instance types can hold, for when it cannot be asked: a line
// for each type, with its name, network interfaces and IPv4 addresses of each, and tabs
// between.
type Table string

// Of is what the table says of a type.
func (t Table) Of(kind string) (c Capacity, ok bool) {
	_, row, found := strings.Cut(string(t), "\n"+kind+"\t")
	if !found {
		return Capacity{}, false
	}
	n, err := fmt.Sscanf(row, "%d\t%d\n", &c.NICs, &c.Addrs)
	return c, err == nil && n == 2
}

// Limits implements provider.Provider. What is not ours is counted too.
func (p *Provider) Limits(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	fail := p.failing("limits", "")
	m, err := p.instanceOf(ctx, instance, provider.ErrNotFound)
	if err == nil && m.Power == Ended {
		err = noInstance(provider.ErrNotFound, instance)
	}
	if err != nil {
		return provider.Limits{}, fail(err)
	}
	l, err := p.limitsOf(ctx, m.Kind)
	if err != nil {
		return provider.Limits{}, fail(err)
	}
	return provider.Limits{NICs: l.NICs, AddrsPerNIC: l.Addrs, Free: max(0, l.NICs-len(m.Used)), Slot: slotName}, nil
}

// Room implements provider.Roomy. What it remembers is a look and what we have plugged
// in since; an instance that we have unplugged something from is forgotten.
func (p *Provider) Room(ctx context.Context, instance nic.InstanceID, want int) (provider.Limits, error) {
	if m, ok := p.known.Get(instance); ok && m.Power == Running {
		l, ok := p.types.Get(m.Kind)
		if free := l.NICs - p.indexes.used(instance, m.Used); ok && free >= want {
			return provider.Limits{NICs: l.NICs, AddrsPerNIC: l.Addrs, Free: free, Slot: slotName}, nil
		}
	}
	return p.Limits(ctx, instance)
}

// limitsOf is what the cloud says of a type, or else the shipped table.
func (p *Provider) limitsOf(ctx context.Context, kind string) (Capacity, error) {
	if l, ok := p.types.Get(kind); ok {
		return l, nil
	}
	all, err := p.kinds.Ask(ctx, kind)
	if l, ok := all[kind]; ok {
		p.types.Put(kind, l)
		return l, nil
	}
	if ctx.Err() != nil {
		return Capacity{}, provider.NoAnswer(ctx.Err())
	}
	l, ok := p.traits.Shipped.Of(kind)
	switch {
	case ok:
		p.types.Keep(kind, l, shippedKept)
		p.opts.Log.Warn(p.traits.API+" does not say what an instance type can hold; the shipped table does", "type", kind, "nics", l.NICs, "err", p.failing("limits", "")(err))
		return l, nil
	case err != nil:
		return Capacity{}, err
	}
	return Capacity{}, provider.Errorf(provider.ErrInvalid, "%s knows no instance type %q", p.traits.API, kind)
}
