//go:build linux

package story

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/retry"
)

// The ping that runs while something dies and comes back.
const (
	pingEvery = 10 * time.Millisecond
	pingFor   = 5 * time.Second
	pingAfter = time.Second // for which the victim has served again at the end
)

// A Death is what a ping must not notice.
type Death struct {
	Victim string // whose, as the figures have it
	Ping   func(ctx context.Context, every, duration time.Duration) (lab.PingResult, error)
	Kill   func(context.Context) error
	Start  func(context.Context) error // returns when the victim serves again
}

// UnderPing kills a second into a ping, starts again a second later, and pings
// on until the victim has served for a while. Any loss is an error.
func (s *Story) UnderPing(ctx context.Context, d Death) (lab.PingResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mended atomic.Pointer[time.Time]
	type answer struct {
		ping lab.PingResult
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		var sum answer
		for done := false; !done && sum.err == nil; {
			var one lab.PingResult
			one, sum.err = d.Ping(ctx, pingEvery, pingFor)
			sum.ping.Sent += one.Sent
			sum.ping.Received += one.Received
			sum.ping.Lost += one.Lost
			sum.ping.Duration += one.Duration
			since := mended.Load()
			done = since != nil && time.Since(*since) > pingAfter
		}
		answers <- sum
	}()
	err := retry.Sleep(ctx, time.Second)
	if err == nil {
		err = errors.Join(d.Kill(ctx), retry.Sleep(ctx, time.Second))
	}
	if err == nil {
		err = d.Start(ctx)
	}
	if err != nil {
		cancel()
		<-answers
		return lab.PingResult{}, err
	}
	now := time.Now()
	mended.Store(&now)
	got := <-answers
	if got.err != nil {
		return got.ping, got.err
	}
	s.Figures.Pings[d.Victim] = got.ping
	// A ping that sends too rarely would miss a short silence. On a busy machine
	// it is late each time, by 15 ms and more.
	enough := int(0.2 * float64(got.ping.Duration) / float64(pingEvery))
	if got.ping.Lost != 0 || got.ping.Sent < enough {
		return got.ping, fmt.Errorf("%s; want none lost of at least %d", got.ping, enough)
	}
	return got.ping, nil
}
