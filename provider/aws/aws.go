// Package aws has NICs that are elastic network interfaces of EC2.
package aws

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/calls"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/secrets"
)

// Kind is the driver's name in the config.
const Kind = "aws"

const (
	// worstCall is a look and a call, of attempts attempts each.
	worstCall = 30 * time.Second
	// jumbo is the MTU that interfaces of EC2 carry within a VPC.
	jumbo = 9001
	// usualGroups is how many security groups a NIC may have unless the account's quota
	// is raised; EC2 does not say it.
	usualGroups = 5
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

// A Provider makes, plugs in and deletes elastic network interfaces.
type Provider struct {
	*eni.Provider
	cloud *cloud
}

// New returns a provider, or an error that names what is missing. Credentials are
// looked for by the SDK's standard chain at the first call, and nowhere else.
func New(ctx context.Context, o Options) (*Provider, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler)).With("provider", o.Name)
	o.Calls = max(1, o.Calls)
	o.backoff = cmp.Or(o.backoff, maxBackoff)
	c := &cloud{cluster: o.Cluster, words: secrets.New(signed), pace: calls.NewPace("EC2", rateOf, o.Calls)}
	p, err := eni.New(eni.Options{Name: o.Name, Cluster: o.Cluster, Cloud: c, Traits: traits(), Pace: c.pace, Log: o.Log})
	if err != nil {
		return nil, err
	}
	if c.api, err = connect(ctx, o, c.words); err != nil {
		return nil, fmt.Errorf("make aws provider %s: %w", o.Name, err)
	}
	return &Provider{p, c}, nil
}

// instanceID is what an instance's id looks like. A filter takes anything, and * for
// all.
var instanceID = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)

//go:embed limits.tsv
var shipped string

// traits are what EC2 is like. NICs are plugged into network card 0 alone.
func traits() eni.Traits {
	return eni.Traits{
		Kind: Kind, API: "EC2", WorstCall: worstCall, MTU: jumbo, InstanceID: instanceID,
		Slots: "interfaces of network card 0", Shipped: eni.Table(shipped),
		Interfaces: eni.Look{Action: apiDescribeInterfaces, Most: maxFilter},
		Instances:  eni.Look{Action: apiDescribeInstances, Most: maxFilter},
		Types:      eni.Look{Action: apiDescribeTypes, Most: maxFilter},
		Subnets:    eni.Look{Action: apiDescribeSubnets, Most: maxFilter},
		Create:     apiCreateInterface, Attach: apiAttachInterface, Detach: apiDetachInterface, Delete: apiDeleteInterface,
		Start:  callsOfStart,
		Groups: usualGroups, MoreGroups: fmt.Sprintf("AWS allows %d unless the quota %q is raised", usualGroups, "Security groups per network interface"),
	}
}

// callsOfStart are those that change something. Looks are shared by all that wait at
// the same time.
func callsOfStart(c nic.CloudSpec) []string {
	calls := []string{apiCreateInterface}
	if c.Forwards {
		calls = append(calls, apiModifyInterface+" (source/destination check)")
	}
	return append(calls, apiAttachInterface, apiModifyInterface+" (delete on termination)")
}

// Region is the one that it makes NICs in.
func (p *Provider) Region() string { return p.cloud.api.Options().Region }

var _ eni.Cloud = (*cloud)(nil)
