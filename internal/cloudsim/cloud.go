// Package cloudsim is a cloud in memory: its resources, its rules and its faults.
package cloudsim

import (
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
	opts Options

	mu  sync.Mutex
	rng *rand.Rand
}

// New returns a cloud without anything in it.
func New(o Options) *Cloud {
	o = o.withDefaults()
	return &Cloud{opts: o, rng: rand.New(rand.NewPCG(o.Seed, 0))} //nolint:gosec // a seed replays a run
}

// Close waits until the Plugger has returned from all that it was asked.
func (c *Cloud) Close() {}

// Region and Account are the options', with their defaults.
func (c *Cloud) Region() string { return c.opts.Region }

// Account is the number of the account that owns everything but the foreign.
func (c *Cloud) Account() string { return c.opts.Account }

// Clock is the time by the cloud's clock, which a clock-skew fault puts off.
func (c *Cloud) Clock() time.Time { return time.Now() }
