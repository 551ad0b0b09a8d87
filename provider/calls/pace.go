package calls

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/provider"
)

const (
	// Patience is how long a call waits for its turn; with a longer wait ahead
	// it is not made, and its caller told when to come back.
	Patience = 2 * time.Second
	// After being throttled an action rests, longer each time in a row.
	firstRest = time.Second
	MaxRest   = 30 * time.Second
)

// A Pace keeps all calls of the process within a cloud's buckets, one for each action.
type Pace struct {
	cloud  string
	rateOf func(api string) provider.Rate
	times  int

	mu      sync.Mutex
	buckets map[string]*bucket
}

// NewPace returns a pace of the cloud of that name, which allows an account times what
// rateOf says of an action.
func NewPace(cloud string, rateOf func(api string) provider.Rate, times int) *Pace {
	return &Pace{cloud: cloud, rateOf: rateOf, times: times, buckets: map[string]*bucket{}}
}

// Rate is how often the account may call the action.
func (c *Pace) Rate(api string) provider.Rate {
	rate := c.rateOf(api)
	return provider.Rate{Burst: c.times * rate.Burst, PerSecond: float64(c.times) * rate.PerSecond}
}

// A bucket is how often an action may be called. Tokens are below zero while
// calls wait for theirs.
type bucket struct {
	rate   provider.Rate
	tokens float64
	at     time.Time // when tokens was right; in the future while the action rests
	rest   retry.Backoff
}

func (c *Pace) bucket(api string) *bucket {
	b := c.buckets[api]
	if b == nil {
		rate := c.Rate(api)
		// A little less than is allowed: a call arrives some time after it was counted.
		rate.Burst, rate.PerSecond = max(1, rate.Burst-1), rate.PerSecond*0.95
		b = &bucket{rate: rate, tokens: float64(rate.Burst), at: time.Now(), rest: retry.Backoff{First: firstRest, Max: MaxRest}}
		c.buckets[api] = b
	}
	return b
}

// Take waits until the action may be called. Where that is long, its error is
// provider.ErrThrottled, and says when.
func (c *Pace) Take(ctx context.Context, api string) error {
	wait := c.claim(api)
	if wait > Patience {
		return &provider.Error{
			Kind: provider.ErrThrottled, Scope: provider.ScopeAccount, RetryAfter: wait,
			Err: errors.New(api + " is not called at present: " + c.cloud + "'s limit of calls is used up"),
		}
	}
	if err := retry.Sleep(ctx, wait); err != nil {
		c.giveBack(api)
		return provider.NoAnswer(err)
	}
	return nil
}

// claim takes a token and returns in how long it is there; if that is longer than
// patience, it has taken none.
func (c *Pace) claim(api string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, now := c.bucket(api), time.Now()
	if now.After(b.at) {
		b.tokens = min(float64(b.rate.Burst), b.tokens+now.Sub(b.at).Seconds()*b.rate.PerSecond)
		b.at = now
	}
	b.tokens--
	wait := max(0, b.at.Sub(now)) + max(0, time.Duration(-b.tokens/b.rate.PerSecond*float64(time.Second)))
	if wait > Patience {
		b.tokens++
	}
	return wait
}

func (c *Pace) giveBack(api string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bucket(api).tokens++
}

// Throttled has the action rest, and returns for how long. Calls that were out
// together are one lesson.
func (c *Pace) Throttled(api string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, now := c.bucket(api), time.Now()
	if !b.at.After(now) {
		b.at = now.Add(b.rest.Next())
	}
	b.tokens = min(b.tokens, 1)
	return b.at.Sub(now)
}

// Passed ends the lesson.
func (c *Pace) Passed(api string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bucket(api).rest.Reset()
}
