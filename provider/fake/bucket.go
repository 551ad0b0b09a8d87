package fake

import (
	"errors"
	"time"

	"github.com/nicferry/nicferry/provider"
)

// A bucket is how often a verb may be called. It is full at first.
type bucket struct {
	rate   provider.Rate
	tokens float64
	last   time.Time
}

func bucketsOf(r provider.Rates) map[string]*bucket {
	all := map[string]*bucket{}
	for op, rate := range map[string]provider.Rate{OpCreate: r.Create, OpAttach: r.Attach, OpDetach: r.Detach, OpDelete: r.Delete} {
		if rate.PerSecond > 0 {
			all[op] = &bucket{rate: rate, tokens: float64(rate.Burst)}
		}
	}
	return all
}

func (b *bucket) take(now time.Time) bool {
	if !b.last.IsZero() {
		b.tokens = min(float64(b.rate.Burst), b.tokens+now.Sub(b.last).Seconds()*b.rate.PerSecond)
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// throttled says when there is a token again.
func (b *bucket) throttled() error {
	wait := time.Duration((1 - b.tokens) / b.rate.PerSecond * float64(time.Second))
	return &provider.Error{
		Kind: provider.ErrThrottled, Scope: provider.ScopeAccount, RetryAfter: wait + time.Millisecond, Err: errors.New("request limit exceeded"),
	}
}
