// Package aws has NICs that are elastic network interfaces of EC2.
package aws

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/calls"
)

// Kind is the driver's name in the config.
const Kind = "aws"

const (
	// worstCall is a look and a call, of attempts attempts each.
	worstCall = 30 * time.Second
	// visibleAfter is how long EC2 may hide what has just been made; what
	// Terraform waits.
	visibleAfter = 2 * time.Minute
	// jumbo is the MTU that interfaces of EC2 carry within a VPC.
	jumbo    = 9001
	slotName = "network interface"
)

// Options configure a provider.
type Options struct {
	// Name is the configured name; required.
	Name string
	// Cluster is this installation's id, which tags all that it makes; required.
	Cluster string
	// Region is such as eu-central-1; optional where the SDK's chain knows it.
	Region string
	// Endpoint is the EC2 API's URL where it is not the region's own; optional.
	Endpoint string
	// Profile is one of the shared config files; optional.
	Profile string
	// Calls is how many times the calls that EC2 allows an account unasked this one
	// may make; optional: 1.
	Calls int
	// Log is told what nobody asked for; optional.
	Log *slog.Logger
	// HTTPClient makes EC2's calls; optional. AWS_CA_BUNDLE is nothing to it.
	HTTPClient *http.Client

	backoff time.Duration // between the SDK's attempts, at most
}

// A Provider makes, plugs in and deletes elastic network interfaces. It keeps
// nothing that it cannot do without: an interface's tags say whose it is. What it
// remembers of its own last calls only bridges the time until EC2 shows them.
type Provider struct {
	opts    Options
	api     *ec2.Client
	secrets *secrets
	pace    *calls.Pace
	recent  recent
	indexes indexes
	full    full

	interfaces *calls.Batcher[nic.ID, []iface]
	machines   *calls.Batcher[nic.InstanceID, machine]
	zones      *calls.Cache[nic.InstanceID, string]
	kinds      *calls.Batcher[string, typeLimits]
	nets       *calls.Batcher[string, subnet]
	known      *calls.Cache[nic.InstanceID, machine]
	subnets    *calls.Cache[string, subnet]
	types      *calls.Cache[string, typeLimits]
}

// New returns a provider, or an error that names what is missing. Credentials are
// looked for by the SDK's standard chain at the first call, and nowhere else.
func New(ctx context.Context, o Options) (*Provider, error) {
	var faults nic.Faults
	faults.AddErr("name", nic.CheckName("provider", o.Name))
	if o.Cluster == "" {
		faults.Add("cluster", "is missing")
	}
	if err := faults.Err(); err != nil {
		return nil, fmt.Errorf("make aws provider: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("provider", o.Name)
	o.Calls = max(1, o.Calls)
	o.backoff = cmp.Or(o.backoff, maxBackoff)
	p := &Provider{opts: o, secrets: &secrets{}, pace: calls.NewPace("EC2", rateOf, o.Calls)}
	var err error
	if p.api, err = connect(ctx, o, p.secrets); err != nil {
		return nil, fmt.Errorf("make aws provider %s: %w", o.Name, err)
	}
	p.interfaces = calls.NewBatcher(maxFilter, worstCall, p.admit(apiDescribeInterfaces), p.describeNICs)
	p.machines = calls.NewBatcher(maxFilter, worstCall, p.admit(apiDescribeInstances), p.describeMachines)
	p.zones = calls.NewCache[nic.InstanceID, string](zoneKept)
	p.kinds = calls.NewBatcher(maxFilter, worstCall, p.admit(apiDescribeTypes), p.describeTypes)
	p.nets = calls.NewBatcher(maxFilter, worstCall, p.admit(apiDescribeSubnets), p.describeSubnets)
	p.known = calls.NewCache[nic.InstanceID, machine](machineKept)
	p.subnets = calls.NewCache[string, subnet](subnetKept)
	p.types = calls.NewCache[string, typeLimits](typeKept)
	return p, nil
}

// Region is the one that it makes NICs in.
func (p *Provider) Region() string { return p.api.Options().Region }

// Info implements provider.Provider.
func (p *Provider) Info() provider.Info {
	return provider.Info{
		Name: p.opts.Name, Kind: Kind, DrawsMACs: true, Travel: provider.Carry,
		WorstCall: worstCall, VisibleAfter: visibleAfter,
		Rates: provider.Rates{
			Create: p.pace.Rate(apiCreateInterface), Attach: p.pace.Rate(apiAttachInterface),
			Detach: p.pace.Rate(apiDetachInterface), Delete: p.pace.Rate(apiDeleteInterface),
		},
	}
}

var (
	_ provider.Provider     = (*Provider)(nil)
	_ provider.Placer       = (*Provider)(nil)
	_ provider.Roomy        = (*Provider)(nil)
	_ provider.Powered      = (*Provider)(nil)
	_ provider.AddrAssigner = (*Provider)(nil)
	_ provider.Publisher    = (*Provider)(nil)
)
