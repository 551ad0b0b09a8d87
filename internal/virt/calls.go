//go:build libvirt

package virt

import (
	"context"
	"fmt"
	"sync"
)

// libvirtd serves five calls of a client at once, and then does not even read
// its signs of life (max_client_requests in libvirtd.conf). So changes, which a
// hung QEMU can hold up without an end, never take all five.
const (
	maxReads   = 2
	maxChanges = 3
)

// calls bounds how many of libvirt's calls are under way. They take no context,
// so one that is given up goes on, and keeps its place until it returns.
type calls struct {
	reads, changes chan struct{}

	mu *sync.Mutex
	// changing has a channel for each domain that is changed at this moment,
	// closed when that ends.
	changing map[user]chan struct{}
}

func newCalls() calls {
	return calls{
		reads: make(chan struct{}, maxReads), changes: make(chan struct{}, maxChanges),
		mu: new(sync.Mutex), changing: map[user]chan struct{}{},
	}
}

// claim waits until nobody else changes what by names.
func (c calls) claim(ctx context.Context, by user) error {
	for by != reader {
		c.mu.Lock()
		other, taken := c.changing[by]
		if !taken {
			c.changing[by] = make(chan struct{})
		}
		c.mu.Unlock()
		if !taken {
			break
		}
		select {
		case <-other:
		case <-ctx.Done():
			return fmt.Errorf("%w: an earlier call on %s does not end: %w", ErrBusy, by, ctx.Err())
		}
	}
	return nil
}

func (c calls) drop(by user) {
	if by == reader {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changing[by])
	delete(c.changing, by)
}

// A user is on whose behalf a call is made: nothing for one that only reads, or
// the domain that it changes. A domain is changed by one call at a time, so
// that a hung one costs the others one place.
type user string

const reader user = ""

// do runs f in a goroutine and waits for its end or for ctx's. It calls done
// once f has returned or will never run.
func (c calls) do(ctx context.Context, by user, done func(), f func() error) error {
	places := c.changes
	if by == reader {
		places = c.reads
	}
	if err := c.claim(ctx, by); err != nil {
		done()
		return err
	}
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		c.drop(by)
		done()
		return fmt.Errorf("%w: %d calls are under way and do not end: %w", ErrUnreachable, cap(places), ctx.Err())
	}
	result := make(chan error, 1)
	go func() {
		err := f()
		<-places
		c.drop(by)
		done()
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	if by == reader {
		return fmt.Errorf("%w: no answer: %w", ErrUnreachable, ctx.Err())
	}
	return fmt.Errorf("%w: no answer: %w", ErrInconclusive, ctx.Err())
}
