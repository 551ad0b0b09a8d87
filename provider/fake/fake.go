// Package fake is a provider in memory that behaves as clouds do: its verbs
// take time, young NICs are not visible yet, instances are full, calls fail
// and replies get lost.
package fake

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Kind is what Info says of every fake.
const Kind = "fake"

// The ops, as Fail, Lose, the log and errors name them.
const (
	OpCreate = "create"
	OpAttach = "attach"
	OpDetach = "detach"
	OpDelete = "delete"
	OpGet    = "get"
	OpList   = "list"
	OpLimits = "limits"
	OpOff    = "off"

	OpAssign   = "assign"
	OpUnassign = "unassign"
)

// Options shape a fake. All are optional; the zero Options are a world where
// everything happens at once.
type Options struct {
	// Name is the configured name; default "fake".
	Name string
	// Travel is how claims move; default provider.Carry.
	Travel provider.Travel
	// DrawsMACs: the fake draws MACs and refuses specs that bring one.
	// Otherwise it refuses specs without.
	DrawsMACs bool
	// Latency is how long each transition takes after its verb has returned.
	Latency Latency
	// Lag is how long a new NIC is invisible to Get, List and Attach. Create,
	// Detach and Delete know it at once, as a creation token does.
	Lag time.Duration
	// CallTime is how long each call takes; its effect is half-way.
	CallTime time.Duration
	// Instances are the instances there are; default is any.
	Instances []nic.InstanceID
	// NICsPerInstance is how many NICs one holds, foreign ones included;
	// default 8.
	NICsPerInstance int
	// Members is how many NICs whose spec says Trunk an instance takes besides; default
	// is none.
	Members int
	// AddrsPerNIC is how many IPv4 addresses a NIC can have; default 1.
	AddrsPerNIC int
	// Slot is what Limits calls a slot, and Bus where attached NICs are said to
	// be; default is nothing.
	Slot, Bus string
	// Rates are how often each verb may be called; more is ErrThrottled. Info
	// tells of them unless Secretive.
	Rates     provider.Rates
	Secretive bool
	// Quota is how many of our NICs there can be in all; default is no limit.
	Quota int
	// PublicQuota is how many public addresses there can be; default is no limit.
	PublicQuota int
	// Subnets, if any, are what NICs are made in, and get their addresses from; Zones
	// are the instances' zones, which a NIC does not leave.
	Subnets []Subnet
	Zones   map[nic.InstanceID]string
	// Types are how many NICs of ours an instance of each type takes, for Plan.
	Types map[string]int
	// Device is the recipe that nodes are given; default is found by MAC.
	Device func(spec nic.Spec, mac nic.MAC) nic.Device
}

// Latency is the time of each transition. Assign is how long an address that goes
// to another NIC is shown where it was.
type Latency struct{ Create, Attach, Detach, Delete, Assign time.Duration }

// A Provider is a fake. It computes every state from timestamps when it is
// asked: it has no goroutines and leaves no timers. Its clock is package time,
// so in a synctest bubble it is the bubble's.
type Provider struct {
	opts Options

	mu      sync.Mutex
	nics    map[nic.ID]*record
	foreign []Foreign
	made    int // NICs ever made, for their provider ids
	faults  map[string][]fault
	log     []Call
	public  map[nic.ClaimID]Public
	// lastPublic is the public address that was made last.
	lastPublic netip.Addr
	buckets    map[string]*bucket
	// squatted are device indexes that are in use and in no list, met those of
	// them that an attach has run into.
	squatted, met map[place]bool
	off           map[nic.InstanceID]bool
}

// New returns a fake without NICs.
func New(o Options) *Provider {
	o.Name = cmp.Or(o.Name, "fake")
	o.Travel = cmp.Or(o.Travel, provider.Carry)
	o.NICsPerInstance = cmp.Or(o.NICsPerInstance, 8)
	o.AddrsPerNIC = cmp.Or(o.AddrsPerNIC, 1)
	if o.Device == nil {
		o.Device = func(_ nic.Spec, mac nic.MAC) nic.Device { return nic.Device{Kind: nic.Found, MAC: mac} }
	}
	o.Instances = slices.Clone(o.Instances)
	return &Provider{
		opts: o, nics: map[nic.ID]*record{}, faults: map[string][]fault{}, buckets: bucketsOf(o.Rates), squatted: map[place]bool{}, met: map[place]bool{},
		off: map[nic.InstanceID]bool{}, public: map[nic.ClaimID]Public{}, lastPublic: firstPublic,
	}
}

// Info implements provider.Provider.
func (p *Provider) Info() provider.Info {
	rates := p.opts.Rates
	if p.opts.Secretive {
		rates = provider.Rates{}
	}
	return provider.Info{
		Name: p.opts.Name, Kind: Kind, Rates: rates,
		DrawsMACs: p.opts.DrawsMACs,
		Travel:    p.opts.Travel,
		WorstCall: p.opts.CallTime + time.Second,
	}
}

func (p *Provider) knows(instance nic.InstanceID) bool {
	return len(p.opts.Instances) == 0 || slices.Contains(p.opts.Instances, instance)
}
