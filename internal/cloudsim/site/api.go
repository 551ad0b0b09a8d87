package site

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ec2"
	"github.com/nicferry/nicferry/internal/cloudsim/ecs"
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
	// metadata says whether the instances have some, which are EC2's. Those of Alibaba
	// Cloud, and the keys that they give out, are to come in here and in openMetadata.
	metadata bool
}

var apis = map[string]api{
	EC2: {
		label: "EC2's API", access: "AKIACLOUDINMEMORY000", instanceType: "m5.large", metadata: true,
		shape:   func(o cloudsim.Options) cloudsim.Options { return o },
		latency: cloudsim.ObservedLatency, buckets: cloudsim.KnownBuckets,
		door: func(s *Site, o Options) http.Handler {
			return ec2.New(ec2.Options{Cloud: s.Cloud, Keys: s.key, Log: o.Log})
		},
	},
	ECS: {
		label: "ECS's and VPC's API", access: "LTAICLOUDINMEMORY000", instanceType: "ecs.g7.xlarge", zone: "-",
		shape: ecs.Shape, latency: ecs.ObservedLatency, buckets: ecs.KnownBuckets,
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
	switch {
	case !known:
		return o, a, fmt.Errorf("api %q: want one of %v", o.API, slices.Sorted(maps.Keys(apis)))
	case !a.metadata && o.Metadata != "":
		return o, a, errors.New("metadata are there with the API of EC2 alone")
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
