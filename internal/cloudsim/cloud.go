// Package cloudsim is a cloud in memory: its resources, its rules and its faults.
package cloudsim

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// A Cloud is one account in one region. Its API is the methods that take a
// Call; each passes one gate that counts it, throttles it, lets faults strike
// it, asks the policy and writes the log. The methods without a Call are for
// whoever builds the world and looks at it from above.
//
// What takes time is on an agenda that is caught up with whenever somebody
// calls: there are no timers, so in a synctest bubble the clock is the
// bubble's. All methods may be called concurrently.
type Cloud struct {
	opts  Options
	types map[string]InstanceType

	mu     sync.Mutex
	rng    *rand.Rand
	made   int // resources ever made, for their order
	agenda agenda
	log    []Entry
	counts map[string]Count
	levels map[string]*level
	faults []*planned
	drawn  int // names of faults

	vpcs      map[string]*vpc
	groups    map[string]*group
	zones     []Zone
	subnets   map[string]*subnet
	instances map[string]*instance
	enis      map[string]*eni
	ghosts    map[string]*eni // deleted, and still to be seen by late readers
	eips      map[string]*eip
	haVips    map[string]*haVip
	// attachments are the interfaces by the id of theirs.
	attachments map[string]*eni
	tokens      map[string]token
	index       index
	recent      recent

	// closing ends waits for the Plugger.
	closing context.Context
	close   context.CancelFunc
	plugs   sync.WaitGroup
}

// New returns a cloud without anything in it.
func New(o Options) *Cloud {
	o = o.withDefaults()
	c := &Cloud{
		opts: o, types: map[string]InstanceType{},
		rng:    rand.New(rand.NewPCG(o.Seed, 0)), //nolint:gosec // a seed replays a run
		counts: map[string]Count{}, levels: map[string]*level{},
		vpcs: map[string]*vpc{}, groups: map[string]*group{}, subnets: map[string]*subnet{},
		instances: map[string]*instance{}, enis: map[string]*eni{}, ghosts: map[string]*eni{},
		eips: map[string]*eip{}, haVips: map[string]*haVip{}, attachments: map[string]*eni{}, tokens: map[string]token{},
		index: index{},
	}
	for _, t := range o.Types {
		c.types[t.Name] = t
	}
	c.closing, c.close = context.WithCancel(context.Background())
	return c
}

// Close ends the waiting for the Plugger and returns when its methods have.
func (c *Cloud) Close() {
	c.close()
	c.plugs.Wait()
}

// Region is the options', with the default.
func (c *Cloud) Region() string { return c.opts.Region }

// Account is the number of the account that owns everything but the foreign.
func (c *Cloud) Account() string { return c.opts.Account }

// Clock is the time by the cloud's clock, which a clock-skew fault puts off.
// Signatures are held against it, and it stands in answers' headers.
func (c *Cloud) Clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, f := range c.faults {
		if f.Verb == ClockSkew && f.active(now) {
			now = now.Add(f.Delay.D())
		}
	}
	return now
}

// next numbers a resource.
func (c *Cloud) next() int {
	c.made++
	return c.made
}

// draw is a time out of a range.
func (c *Cloud) draw(r Range) time.Duration {
	if r.Max <= r.Min {
		return r.Min
	}
	return r.Min + time.Duration(c.rng.Int64N(int64(r.Max-r.Min)+1))
}
