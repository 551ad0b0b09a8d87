package site

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ec2"
	"github.com/nicferry/nicferry/internal/cloudsim/ecs"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
)

// The APIs that a site can have.
const (
	EC2 = "ec2"
	ECS = "ecs" // and VPC, of Alibaba Cloud
)

// An api is what a site's cloud speaks, and what is otherwise with such a cloud.
type api struct {
	// label is what people call it.
	label string
	// access is the key that everybody may sign with.
	access string
	// instanceType is the usual one; zone is between a region and the letter.
	instanceType, zone string
	shape              func(cloudsim.Options) cloudsim.Options
	latency            func() cloudsim.Latency
	buckets            func() cloudsim.Buckets
	door               func(*Site, Options) http.Handler
	// metadata are how the instances' are told, and policy how an account's are written.
	metadata imds.Options
	policy   iam.Dialect
}

// hopLimit is what EC2 gives answers of metadata unless it is told otherwise: they
// get no farther than the instance. ECS knows no such limit.
const hopLimit = 1

var apis = map[string]api{
	EC2: {
		label: "EC2's API", access: "AKIACLOUDINMEMORY000", instanceType: "m5.large",
		shape:   func(o cloudsim.Options) cloudsim.Options { return o },
		latency: cloudsim.ObservedLatency, buckets: cloudsim.KnownBuckets,
		metadata: imds.Options{Dialect: imds.EC2(), HopLimit: hopLimit}, policy: iam.IAM(),
		door: func(s *Site, o Options) http.Handler {
			return ec2.New(ec2.Options{Cloud: s.Cloud, Keys: s.key, Log: o.Log})
		},
	},
	ECS: {
		label: "ECS's and VPC's API", access: "LTAICLOUDINMEMORY000", instanceType: "ecs.g7.xlarge", zone: "-",
		shape: ecs.Shape, latency: ecs.ObservedLatency, buckets: ecs.KnownBuckets,
		metadata: imds.Options{Dialect: imds.ECS(), Optional: true}, policy: iam.RAM(),
		door: func(s *Site, o Options) http.Handler {
			return ecs.New(ecs.Options{Cloud: s.Cloud, Log: o.Log, Keys: func(access string) (ecs.Key, bool) {
				k, ok := s.key(access)
				return ecs.Key{Secret: k.Secret, Token: k.Session, Expires: k.Expires}, ok
			}})
		},
	},
}

// Label is what people call the API that a site of these options has.
func (o Options) Label() string { return apis[cmp.Or(o.API, EC2)].label }

// withAPI checks the options against the API, and fills in what that decides.
func (o Options) withAPI() (Options, api, error) {
	o.API = cmp.Or(o.API, EC2)
	a, known := apis[o.API]
	if !known {
		return o, a, fmt.Errorf("api %q: want one of %v", o.API, slices.Sorted(maps.Keys(apis)))
	}
	o.Type = cmp.Or(o.Type, a.instanceType)
	if o.Cloud.Quotas.Interfaces == 0 { // those of the instances are none that anybody asked for, also below
		o.Cloud.Quotas.Interfaces = cloudsim.DefaultQuotas().Interfaces + o.Instances + len(o.Machines)
	}
	if o.Slow {
		o.Cloud.Latency = a.latency()
	}
	if o.Throttled {
		o.Cloud.Buckets = a.buckets()
	}
	o.Cloud = a.shape(o.Cloud)
	if group := &o.Cloud.Quotas.InterfacesPerGroup; *group > 0 {
		*group += o.Instances + len(o.Machines)
	}
	return o, a, nil
}
