//go:build libvirt

package virt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/nicferry/nicferry/internal/retry"
)

// Built says whether this program can speak to libvirt.
const Built = true

// The daemon is asked whether it lives; one that does not answer for
// keepAlive·(keepTries+1) seconds is taken for dead, which ends all calls.
const (
	keepAlive = 5
	keepTries = 3
)

// A Conn is a connection to libvirt that comes back by itself. It may be used
// by many goroutines at once.
type Conn struct {
	uri    string
	log    *slog.Logger
	queue  *queue
	calls  calls
	memory memory
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	live   *session // nil while libvirt is away
	closed bool
}

// Open connects to libvirt. It fails with ErrUnreachable where libvirt does not
// run now; a connection that was open once comes back by itself. ErrNoLibvirt
// is a machine without libvirt's library.
func Open(ctx context.Context, opts Options) (*Conn, error) {
	if opts.URI == "" {
		return nil, fmt.Errorf("open libvirt: %w: URI is required, such as qemu:///system", ErrInvalid)
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := startLoop(); err != nil {
		return nil, err
	}
	c := &Conn{uri: opts.URI, log: opts.Log, queue: newQueue(), calls: newCalls()}
	opened := make(chan error, 1)
	go func() {
		s, err := c.connect()
		if err == nil && !c.adopt(s) {
			s.close()
		}
		opened <- err
	}()
	var err error
	select {
	case err = <-opened:
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	}
	if err != nil {
		c.mu.Lock()
		c.closed = true // what the goroutine may still open, it closes
		s := c.live
		c.mu.Unlock()
		if s != nil {
			s.close()
		}
		return nil, fmt.Errorf("open libvirt at %s: %w", opts.URI, err)
	}
	c.mu.Lock()
	first := c.live
	c.mu.Unlock()
	run, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.done.Go(c.queue.run)
	c.done.Go(func() { c.keep(run, first) })
	return c, nil
}

// adopt makes s the connection, unless the Conn is closed.
func (c *Conn) adopt(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.live = s
	}
	return !c.closed
}

// Close ends the connection and its events. Calls under way end with an error.
// It may be called twice, and on nil.
func (c *Conn) Close() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	s, closed := c.live, c.closed
	c.live, c.closed = nil, true
	c.mu.Unlock()
	if closed {
		return nil
	}
	c.stop()
	close(c.queue.stop)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.close()
		if s != nil {
			<-s.ended
		}
		c.done.Wait()
	}()
	const patience = 10 * time.Second
	select {
	case <-ended:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("close libvirt at %s: %w: it did not end within %s", c.uri, ErrUnreachable, patience)
	}
}

// Events are hints of what happened, for one reader, until Close. A slow reader
// misses no change: what it did not read in time becomes one Reconnected.
func (c *Conn) Events() <-chan Event { return c.queue.out }

// keep opens the connection again whenever it is lost.
func (c *Conn) keep(ctx context.Context, s *session) {
	for {
		select {
		case <-s.lost:
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		c.live = nil
		c.mu.Unlock()
		s.close()
		c.log.Warn("libvirt is away", "uri", c.uri)
		if s = c.reopen(ctx); s == nil {
			return
		}
		c.log.Info("libvirt is back", "uri", c.uri)
		c.queue.add(Event{Kind: Reconnected})
	}
}

// reopen tries until there is a connection; nil is the end of ctx.
func (c *Conn) reopen(ctx context.Context) *session {
	backoff := retry.Backoff{First: 100 * time.Millisecond, Max: 10 * time.Second}
	for retry.Sleep(ctx, backoff.Next()) == nil {
		s, err := c.connect()
		if err != nil {
			c.log.Debug("libvirt is still away", "uri", c.uri, "error", err)
			continue
		}
		if !c.adopt(s) {
			s.close()
			return nil
		}
		return s
	}
	return nil
}

// use runs f with the connection, bounded by ctx.
func (c *Conn) use(ctx context.Context, by user, f func(*libvirt.Connect) error) error {
	c.mu.Lock()
	s := c.live
	ok := s != nil && s.hold()
	c.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: %s is away, and is tried again and again", ErrUnreachable, c.uri)
	}
	if err := ctx.Err(); err != nil {
		s.release()
		return err
	}
	err := c.calls.do(ctx, by, s.release, func() error { return f(s.conn) })
	if errors.Is(err, ErrUnreachable) {
		s.check()
	}
	return err
}
