//go:build linux

package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// The verbs that are counted.
const (
	opCreate = "create"
	opAttach = "attach"
	opDetach = "detach"
	opDelete = "delete"
	opGet    = "get"
	opList   = "list"
	opLimits = "limits"
)

// How long things take there, at least; half as long again at most.
const (
	callTakes   = 40 * time.Millisecond
	createTakes = time.Second
	attachTakes = 2 * time.Second
	detachTakes = 3 * time.Second
	deleteTakes = time.Second
)

// A cloud is a provider in memory that takes time, turns calls away that come too often,
// and fails as its dice say. It keeps counts and no log: there are millions of calls.
type cloud struct {
	opts   Options
	rates  provider.Rates
	lifeOf func(nic.ID) int

	mu      sync.Mutex
	nics    map[nic.ID]*card
	on      map[nic.InstanceID]map[nic.ID]*card
	buckets map[string]*bucket
	tries   map[try]int
	counts  map[string]Calls
	planted nic.ID // its delete was forgotten
	still   bool   // it takes no time
}

// A try is one verb for one life; each has dice of its own, so that what strikes a
// container does not depend on who else is served.
type try struct {
	life int
	verb string
}

// Calls are the calls of one verb.
type Calls struct {
	Made      int `json:"made"`
	Effects   int `json:"effects"` // those that changed something
	Throttled int `json:"throttled"`
	Failed    int `json:"failed"` // by the dice
}

// A card is a NIC in the cloud.
type card struct {
	spec  nic.Spec
	state nic.State
	place nic.Place
	until time.Time // when the transition ends
}

type bucket struct {
	rate   provider.Rate
	tokens float64
	last   time.Time
}

func newCloud(o Options, lifeOf func(nic.ID) int) *cloud {
	// Half as often again as NICs are made on average, for containers and for each node's
	// reserve, and ten seconds' worth at once.
	per := 1.5 * float64(o.Nodes*(o.PerNode+1)) / o.Ramp.Seconds()
	rate := provider.Rate{PerSecond: max(per, 1), Burst: int(max(10*per, 10))}
	c := &cloud{
		opts: o, rates: provider.Rates{Create: rate, Attach: rate, Detach: rate, Delete: rate}, lifeOf: lifeOf,
		nics: map[nic.ID]*card{}, on: map[nic.InstanceID]map[nic.ID]*card{}, buckets: map[string]*bucket{}, tries: map[try]int{}, counts: map[string]Calls{},
	}
	for _, verb := range []string{opCreate, opAttach, opDetach, opDelete} {
		c.buckets[verb] = &bucket{rate: rate, tokens: float64(rate.Burst)}
	}
	return c
}

// Info implements provider.Provider.
func (c *cloud) Info() provider.Info {
	return provider.Info{Name: cloudName, Kind: "sim", Travel: provider.Carry, WorstCall: 5 * time.Second, Rates: c.rates}
}

// Create implements provider.Provider.
func (c *cloud) Create(ctx context.Context, spec nic.Spec) (seen nic.Seen, err error) {
	err = c.call(ctx, opCreate, spec.NIC, func(now time.Time, slow float64) (bool, error) {
		at := c.find(spec.NIC, now)
		made := at == nil
		if made {
			at = &card{spec: spec, state: nic.StateCreating, until: c.after(now, createTakes, slow)}
			c.nics[spec.NIC] = at
		}
		seen = at.seen()
		return made, nil
	})
	return seen, err
}

// Attach implements provider.Provider.
func (c *cloud) Attach(ctx context.Context, id nic.ID, place nic.Place) (seen nic.Seen, err error) {
	err = c.call(ctx, opAttach, id, func(now time.Time, slow float64) (bool, error) {
		at := c.find(id, now)
		switch {
		case at == nil:
			return false, kind(provider.ErrNotFound)
		case at.place.Instance == place.Instance && at.state == nic.StateAttached:
			seen = at.seen()
			return false, nil
		case at.state != nic.StateAvailable:
			return false, kind(provider.ErrBusy)
		case c.free(place.Instance, now) <= 0:
			return false, kind(provider.ErrExhausted)
		}
		at.state, at.place, at.until = nic.StateAttaching, place, c.after(now, attachTakes, slow)
		if c.on[place.Instance] == nil {
			c.on[place.Instance] = map[nic.ID]*card{}
		}
		c.on[place.Instance][id] = at
		seen = at.seen()
		return true, nil
	})
	return seen, err
}

// Detach implements provider.Provider.
func (c *cloud) Detach(ctx context.Context, id nic.ID, instance nic.InstanceID) error {
	return c.call(ctx, opDetach, id, func(now time.Time, slow float64) (bool, error) {
		at := c.find(id, now)
		switch {
		case at == nil:
			return false, kind(provider.ErrNotFound)
		case at.place.Instance == "" || at.state == nic.StateDetaching:
			return false, nil
		case at.place.Instance != instance:
			return false, kind(provider.ErrElsewhere)
		case at.state == nic.StateAttaching:
			return false, kind(provider.ErrBusy)
		}
		at.state, at.until = nic.StateDetaching, c.after(now, detachTakes, slow)
		return true, nil
	})
}

// Delete implements provider.Provider.
func (c *cloud) Delete(ctx context.Context, id nic.ID) error {
	return c.call(ctx, opDelete, id, func(now time.Time, slow float64) (bool, error) {
		at := c.find(id, now)
		switch {
		case at == nil || id == c.planted:
			return false, kind(provider.ErrNotFound)
		case at.state == nic.StateDeleting:
			return false, nil
		case at.state != nic.StateAvailable:
			return false, kind(provider.ErrBusy)
		case c.opts.Plant && c.planted == "": // it says yes, and does not do it
			c.planted = id
			return false, nil
		}
		at.state, at.until = nic.StateDeleting, c.after(now, deleteTakes, slow)
		return true, nil
	})
}

// Get implements provider.Provider.
func (c *cloud) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	got := make(map[nic.ID]nic.Seen, len(ids))
	err := c.call(ctx, opGet, "", func(now time.Time, _ float64) (bool, error) {
		for _, id := range ids {
			if at := c.find(id, now); at != nil && id != c.planted {
				got[id] = at.seen()
			}
		}
		return false, nil
	})
	return got, err
}

// List implements provider.Provider. What the cloud has forgotten is not in it.
func (c *cloud) List(ctx context.Context) (all []nic.Seen, err error) {
	err = c.call(ctx, opList, "", func(now time.Time, _ float64) (bool, error) {
		for id := range c.nics {
			if at := c.find(id, now); at != nil && id != c.planted {
				all = append(all, at.seen())
			}
		}
		return false, nil
	})
	return all, err
}

// Limits implements provider.Provider.
func (c *cloud) Limits(ctx context.Context, instance nic.InstanceID) (limits provider.Limits, err error) {
	err = c.call(ctx, opLimits, "", func(now time.Time, _ float64) (bool, error) {
		limits = provider.Limits{NICs: c.most(), AddrsPerNIC: 1, Free: c.free(instance, now)}
		return false, nil
	})
	return limits, err
}

// most is how many NICs an instance takes.
func (c *cloud) most() int { return c.opts.PerNode + 10 }

func (c *cloud) free(instance nic.InstanceID, now time.Time) int {
	for id := range c.on[instance] {
		c.find(id, now)
	}
	return c.most() - len(c.on[instance])
}

// find is a NIC as it is now. The caller holds the lock.
func (c *cloud) find(id nic.ID, now time.Time) *card {
	at := c.nics[id]
	if at == nil || now.Before(at.until) {
		return at
	}
	switch at.state {
	case nic.StateCreating:
		at.state = nic.StateAvailable
	case nic.StateAttaching:
		at.state = nic.StateAttached
	case nic.StateDetaching:
		delete(c.on[at.place.Instance], id)
		at.state, at.place = nic.StateAvailable, nic.Place{}
	case nic.StateDeleting:
		delete(c.nics, id)
		return nil
	}
	return at
}

func (at *card) seen() nic.Seen {
	s := nic.Seen{NIC: at.spec.NIC, ProviderID: string(at.spec.NIC), State: at.state, Place: at.place, MAC: at.spec.MAC}
	if at.state == nic.StateAttached || at.state == nic.StateDetaching {
		s.Device = nic.Device{Kind: nic.Found, MAC: at.spec.MAC, MTU: at.spec.MTU}
	}
	return s
}

// call is one call, there and back; do is its effect, in the middle.
func (c *cloud) call(ctx context.Context, verb string, id nic.ID, do func(now time.Time, slow float64) (bool, error)) error {
	life := -1
	if id != "" {
		life = c.lifeOf(id)
	}
	c.mu.Lock()
	of := try{life, verb}
	dice := newDice(c.opts.Seed, life, verb, c.tries[of])
	c.mu.Unlock()
	takes := stretched(callTakes, dice.float())
	if c.still {
		return c.serve(of, dice, do)
	}
	if err := retry.Sleep(ctx, takes/2); err != nil {
		return unknown(err)
	}
	err := c.serve(of, dice, do)
	if late := retry.Sleep(ctx, takes/2); late != nil {
		return unknown(late)
	}
	return err
}

func (c *cloud) serve(of try, dice dice, do func(time.Time, float64) (bool, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, n := time.Now(), c.counts[of.verb]
	defer func() { c.counts[of.verb] = n }()
	n.Made++
	if b := c.buckets[of.verb]; b != nil {
		if err := b.take(now); err != nil {
			n.Throttled++
			return err
		}
	}
	strikes := of.life >= 0 && dice.float() < c.opts.Faults
	if of.life >= 0 {
		c.tries[of]++
	}
	if strikes && dice.float() < 0.5 {
		n.Failed++
		return unknown(errors.New("the connection broke before the request arrived"))
	}
	effect, err := do(now, dice.float())
	if effect {
		n.Effects++
	}
	if err == nil && strikes {
		n.Failed++
		return unknown(errors.New("the connection broke before the reply"))
	}
	return err
}

func (b *bucket) take(now time.Time) error {
	if !b.last.IsZero() {
		b.tokens = min(float64(b.rate.Burst), b.tokens+now.Sub(b.last).Seconds()*b.rate.PerSecond)
	}
	if b.last = now; b.tokens < 1 {
		wait := time.Duration((1 - b.tokens) / b.rate.PerSecond * float64(time.Second))
		return &provider.Error{Kind: provider.ErrThrottled, Scope: provider.ScopeAccount, Provider: cloudName, RetryAfter: wait + time.Millisecond, Err: errors.New("request limit exceeded")}
	}
	b.tokens--
	return nil
}

// count is how many NICs there are.
func (c *cloud) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.nics)
}

// left are the NICs that there are still, forgotten ones too.
func (c *cloud) left() (ids []nic.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for id := range c.nics {
		if c.find(id, now) != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// calls are the counts by verb.
func (c *cloud) calls() map[string]Calls {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

func kind(of error) error {
	return &provider.Error{Kind: of, Scope: provider.ScopeNIC, Provider: cloudName, Err: errors.New("by the cloud")}
}

func unknown(err error) error {
	return &provider.Error{Kind: provider.ErrUnknown, Scope: provider.ScopeNIC, Provider: cloudName, Err: fmt.Errorf("no reply: %w", err)}
}

// after is when a transition ends that begins now.
func (c *cloud) after(now time.Time, takes time.Duration, slow float64) time.Time {
	if c.still {
		return now
	}
	return now.Add(stretched(takes, slow))
}

func stretched(d time.Duration, by float64) time.Duration { return d + time.Duration(by*float64(d)/2) }

var _ provider.Provider = (*cloud)(nil)
