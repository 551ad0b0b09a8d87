package libvirt

import (
	"context"
	"sync"
	"time"
)

// lockPatience is how long a call waits for another one at the same domain: a
// plug takes some tenths of a second. If it lasts longer the domain hangs, and
// whoever waits is to do so without holding up its caller.
const lockPatience = time.Second

// locks holds one lock per domain, so that slots are counted and taken in one
// go, and a domain that hangs blocks no other, nor for long who calls for it. It
// does not bind another controller: there libvirt refuses the second.
type locks struct {
	mu    sync.Mutex
	byKey map[string]*lock
}

type lock struct {
	held  chan struct{}
	users int // who hold it or wait for it; guarded by locks.mu
}

func newLocks() *locks { return &locks{byKey: map[string]*lock{}} }

// lock waits for key's lock and returns what releases it, ctx's error, or ErrBusy
// after lockPatience.
func (l *locks) lock(ctx context.Context, key string) (func(), error) {
	l.mu.Lock()
	k := l.byKey[key]
	if k == nil {
		k = &lock{held: make(chan struct{}, 1)}
		l.byKey[key] = k
	}
	k.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.byKey, key)
		}
	}
	patience := time.NewTimer(lockPatience)
	defer patience.Stop()
	select {
	case k.held <- struct{}{}:
		return func() { <-k.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	case <-patience.C:
		leave()
		return nil, busyFor(lockPatience, "another card is being plugged into or out of the domain, and that does not end")
	}
}
