//go:build linux

package vmagent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

var errStale = errors.New("stale")

// changing is a controller whose wanted state changes when told to.
type changing struct {
	far
	changes chan uint64
}

func (c *changing) Watch(ctx context.Context, _ string, _ uint64, changed func(uint64)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case rev := <-c.changes:
			changed(rev)
		}
	}
}

// ordered notes what the agent asks of its orders.
type ordered struct {
	mu       sync.Mutex
	sessions []uint64
	wakes    int
	over     chan error
}

func (o *ordered) Run(ctx context.Context) { <-ctx.Done() }

func (o *ordered) Follow(ctx context.Context, session uint64) error {
	o.mu.Lock()
	o.sessions = append(o.sessions, session)
	o.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-o.over:
		return err
	}
}

func (o *ordered) Busy() bool { return false }

func (o *ordered) Ends(string) time.Time { return time.Time{} }

func (o *ordered) Wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wakes++
}

// Orders are asked for under the session, and at each change of what is wanted. If
// they say that another agent has started, this one ends.
func TestOrdersAreFollowed(t *testing.T) {
	host := netnstest.New(t)
	synctest.Test(t, func(t *testing.T) {
		c, o := &changing{changes: make(chan uint64)}, &ordered{over: make(chan error)}
		a, err := New(Options{
			Node: "n1", Controller: c, Engine: bare{}, Host: host, RunDir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
			Superseded: func(err error) bool { return errors.Is(err, errStale) }, Orders: o,
		})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- a.followController(t.Context()) }()
		c.changes <- 2
		c.changes <- 3
		synctest.Wait()
		o.mu.Lock()
		if len(o.sessions) != 1 || o.sessions[0] != 1 || o.wakes != 2 {
			t.Errorf("asked for under the sessions %v, woken %d times", o.sessions, o.wakes)
		}
		o.mu.Unlock()
		o.over <- errStale
		if err := <-ended; !errors.Is(err, ErrSuperseded) {
			t.Errorf("the agent ended with %v", err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
}
