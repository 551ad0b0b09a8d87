package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/nicferry/nicferry/internal/api"
)

// Options.Silence divided by doubts is how long a call has no answer before the other
// addresses are asked, again and again, for a controller that is frozen keeps its
// connections; divided by patience, how long each of them may take.
const doubts, patience = 30, 10

// errElsewhere ends what waits for a controller while another one works.
var errElsewhere = errors.New("another controller works")

// unlessElsewhere returns a context for a call to the address at, which ends with
// errElsewhere when another address turns out to work meanwhile, which is asked of them
// when in doubt, if that is wanted. done must be called.
func (c *Client) unlessElsewhere(ctx context.Context, at int, doubt bool) (_ context.Context, done func()) {
	if len(c.dial.addresses) == 1 {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.dial.period(), func() { cancel(errElsewhere) })
	done = func() { stop(); cancel(nil) }
	if !doubt {
		return ctx, done
	}
	go func() {
		tick := time.NewTicker(c.silence / doubts)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if c.dial.lookElsewhere(ctx, at, c.silence/patience) {
					cancel(errElsewhere)
				}
			}
		}
	}()
	return ctx, done
}

// period is a context that ends when the address in use is left for one that works.
func (d *dialer) period() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inUse
}

// lookElsewhere says whether another address works, and goes on to it if at is still the
// one in use.
func (d *dialer) lookElsewhere(ctx context.Context, at int, within time.Duration) bool {
	for i := 1; i < len(d.addresses) && ctx.Err() == nil; i++ {
		other := (at + i) % len(d.addresses)
		if d.works(ctx, d.addresses[other], within) {
			d.exchange(at, other)
			return true
		}
	}
	return false
}

// works says whether a controller answers at the address that does not stand by.
func (d *dialer) works(ctx context.Context, a address, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return d.dialOne(ctx, a) },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/version", nil)
	if err != nil {
		return false
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode < http.StatusInternalServerError && resp.Header.Get(api.StandbyHeader) == ""
}
