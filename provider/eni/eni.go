// Package eni is a provider of a cloud's network interfaces, whichever cloud.
package eni

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/calls"
)

const (
	// visibleAfter is how long a cloud may hide what has just been made; what Terraform
	// waits.
	visibleAfter = 2 * time.Minute
	slotName     = "network interface"
)

// Options configure a provider.
type Options struct {
	// Name is the configured name; required.
	Name string
	// Cluster is this installation's id, which tags all that it makes; required.
	Cluster string
	// Cloud is where the interfaces are, and Traits what it is like; required.
	Cloud  Cloud
	Traits Traits
	// Pace says when a call's turn has come; required, and the same as the Cloud's.
	Pace *calls.Pace
	// Log is told what nobody asked for; required.
	Log *slog.Logger
}

// Traits are what is fixed about a cloud.
type Traits struct {
	// Kind is the driver's name in the config, and API what people call the service, such
	// as EC2.
	Kind, API string
	// WorstCall is a look and a call, with all attempts.
	WorstCall time.Duration
	// MTU is what interfaces carry within a VPC.
	MTU int
	// InstanceID is what an instance's id looks like: nothing else is asked for.
	InstanceID *regexp.Regexp
	// Again is how long after an unplugging or a deletion began it is asked for once more,
	// should it not be done: where the cloud only says that it has begun. 0 is never, since
	// what it said is sure to come.
	Again time.Duration
	// Slots are what a NIC takes one of, such as "interfaces of network card 0".
	Slots string
	// Shipped is what its types can hold, for when it cannot be asked.
	Shipped Table
	// Interfaces, Instances, Types and Subnets are the Cloud's looks of those names.
	Interfaces, Instances, Types, Subnets Look
	// Create, Attach, Detach and Delete are the actions of the Cloud's verbs.
	Create, Attach, Detach, Delete string
	// Start are the calls that change something, of one NIC that is made for a container,
	// in order.
	Start func(nic.CloudSpec) []string
	// Groups is how many security groups a NIC may have without further ado, and MoreGroups
	// says of whoever wants more what is to be done.
	Groups     int
	MoreGroups string
}

// A Look is a call that many questions go into.
type Look struct {
	// Action is what the pace knows it by.
	Action string
	// Most is how many things one call asks for at most.
	Most int
}

// A Provider makes, plugs in and deletes a cloud's network interfaces. It keeps nothing
// that it cannot do without: an interface's tags say whose it is. What it remembers of
// its own last calls only bridges the time until the cloud shows them.
type Provider struct {
	opts    Options
	cloud   Cloud
	traits  Traits
	recent  recent
	indexes indexes
	full    full
	trunks  *trunks

	interfaces *calls.Batcher[nic.ID, []Interface]
	instances  *calls.Batcher[nic.InstanceID, Instance]
	kinds      *calls.Batcher[string, Capacity]
	nets       *calls.Batcher[string, subnet]
	zones      *calls.Cache[nic.InstanceID, string]
	known      *calls.Cache[nic.InstanceID, Instance]
	subnets    *calls.Cache[string, subnet]
	types      *calls.Cache[string, Capacity]
}

// New returns a provider, or an error that names what is missing. It makes no call.
func New(o Options) (*Provider, error) {
	var faults nic.Faults
	faults.AddErr("name", nic.CheckName("provider", o.Name))
	if o.Cluster == "" {
		faults.Add("cluster", "is missing")
	}
	if err := faults.Err(); err != nil {
		return nil, fmt.Errorf("make %s provider: %w", o.Traits.Kind, err)
	}
	t := o.Traits
	p := &Provider{opts: o, cloud: o.Cloud, traits: t, trunks: newTrunks()}
	p.interfaces = batch(p, t.Interfaces, p.describe)
	p.instances = batch(p, t.Instances, p.cloud.Instances)
	p.kinds = batch(p, t.Types, p.cloud.Types)
	p.nets = batch(p, t.Subnets, p.describeSubnets)
	p.zones = calls.NewCache[nic.InstanceID, string](zoneKept)
	p.known = calls.NewCache[nic.InstanceID, Instance](instanceKept)
	p.subnets = calls.NewCache[string, subnet](subnetKept)
	p.types = calls.NewCache[string, Capacity](typeKept)
	return p, nil
}

// batch has many questions go into one look.
func batch[K comparable, V any](p *Provider, l Look, fetch func(context.Context, []K) (map[K]V, error)) *calls.Batcher[K, V] {
	return calls.NewBatcher(l.Most, p.traits.WorstCall, p.turn(l), fetch)
}

// turn is waiting for the turn of a look's first call.
func (p *Provider) turn(l Look) func(context.Context) error {
	return func(ctx context.Context) error { return p.opts.Pace.Take(ctx, l.Action) }
}

// Info implements provider.Provider.
func (p *Provider) Info() provider.Info {
	t, rate := p.traits, p.opts.Pace.Rate
	return provider.Info{
		Name: p.opts.Name, Kind: t.Kind, DrawsMACs: true, Travel: provider.Carry,
		WorstCall: t.WorstCall, VisibleAfter: visibleAfter,
		Rates: provider.Rates{Create: rate(t.Create), Attach: rate(t.Attach), Detach: rate(t.Detach), Delete: rate(t.Delete)},
	}
}

var (
	_ provider.Provider     = (*Provider)(nil)
	_ provider.Placer       = (*Provider)(nil)
	_ provider.Roomy        = (*Provider)(nil)
	_ provider.Powered      = (*Provider)(nil)
	_ provider.AddrAssigner = (*Provider)(nil)
	_ provider.Publisher    = (*Provider)(nil)
	_ provider.Planner      = (*Provider)(nil)
	_ provider.Trunking     = (*Provider)(nil)
	_ provider.Checker      = (*Provider)(nil)
)
