// Package aliyun has NICs that are elastic network interfaces of Alibaba Cloud's ECS.
package aliyun

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
	"github.com/nicferry/nicferry/provider/aliyun/acs"
	"github.com/nicferry/nicferry/provider/calls"
	"github.com/nicferry/nicferry/provider/eni"
)

// Kind is the driver's name in the config.
const Kind = "aliyun"

const (
	// worstCall is a look and a call, of attempts attempts each.
	worstCall = 30 * time.Second
	// mtu is what interfaces of ECS carry within a VPC, unless the instance's type and the
	// account are allowed more.
	mtu = 1500
	// usualGroups is how many security groups a NIC may have unless the account's quota
	// is raised; ECS does not say it.
	usualGroups = 5
	// again is how long after a detach or a delete began it is asked for once more: the
	// vendor says that it may be stuck, and that this helps.
	again = 20 * time.Second
)

// Options configure a provider.
type Options struct {
	// Name is the configured name; required.
	Name string
	// Cluster is this installation's id, which marks all that it makes; required.
	Cluster string
	// Region is such as cn-hangzhou; required.
	Region string
	// Endpoint is the ECS API's URL where it is not the region's own, and VPCEndpoint the
	// VPC API's where it is neither the region's own nor Endpoint; both optional. Without
	// them all calls go by HTTPS.
	Endpoint, VPCEndpoint string
	// Keys are what to sign with; required.
	Keys acs.Keys
	// Calls is how many times the calls that ECS allows an account unasked this one may
	// make; optional: 1.
	Calls int
	// Log is told what nobody asked for; optional.
	Log *slog.Logger
	// Transport carries the calls; optional: one of its own.
	Transport http.RoundTripper

	backoff time.Duration // between attempts, at most
}

// A Provider makes, plugs in and deletes elastic network interfaces.
type Provider struct {
	*eni.Provider
	cloud *cloud
}

// New returns a provider, or an error that names what is missing. It makes no call.
func New(_ context.Context, o Options) (*Provider, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler)).With("provider", o.Name)
	o.backoff = cmp.Or(o.backoff, maxBackoff)
	c := &cloud{cluster: o.Cluster, backoff: o.backoff, pace: calls.NewPace("ECS", rateOf, max(1, o.Calls))}
	p, err := eni.New(eni.Options{Name: o.Name, Cluster: o.Cluster, Cloud: c, Traits: traits(), Pace: c.pace, Log: o.Log})
	if err != nil {
		return nil, err
	}
	if c.ecs, c.vpc, err = connect(o); err != nil {
		return nil, fmt.Errorf("make aliyun provider %s: %w", o.Name, err)
	}
	return &Provider{p, c}, nil
}

// instanceID is what an instance's id looks like.
var instanceID = regexp.MustCompile(`^i-[0-9a-z]{8,40}$`)

//go:embed limits.tsv
var shipped string

// traits are what ECS is like. Slots have no numbers: a guest finds its NIC by the MAC.
func traits() eni.Traits {
	return eni.Traits{
		Kind: Kind, API: "ECS", WorstCall: worstCall, MTU: mtu, InstanceID: instanceID, Again: again,
		Slots: "interfaces", Shipped: eni.Table(shipped),
		Interfaces: eni.Look{Action: apiDescribeInterfaces, Most: maxIDs},
		Instances:  eni.Look{Action: apiDescribeInstances, Most: maxIDs},
		Types:      eni.Look{Action: apiDescribeTypes, Most: maxTypes},
		Subnets:    eni.Look{Action: apiDescribeVSwitches, Most: 1},
		Create:     apiCreateInterface, Attach: apiAttachInterface, Detach: apiDetachInterface, Delete: apiDeleteInterface,
		Start:  func(nic.CloudSpec) []string { return []string{apiCreateInterface, apiAttachInterface} },
		Groups: usualGroups, MoreGroups: fmt.Sprintf("Alibaba Cloud allows %d unless the account's quota is raised", usualGroups),
	}
}

// Region is the one that it makes NICs in.
func (p *Provider) Region() string { return p.cloud.ecs.Region() }

var _ eni.Cloud = (*cloud)(nil)
