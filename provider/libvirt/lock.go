package libvirt

import (
	"context"
	"sync"
)

// locks holds one lock per domain, so that slots are counted and taken in one
// go, and a domain that hangs blocks no other. It does not bind another
// controller: there libvirt refuses the second.
type locks struct {
	mu    sync.Mutex
	byKey map[string]*lock
}

type lock struct {
	held  chan struct{}
	users int // who hold it or wait for it; guarded by locks.mu
}

func newLocks() *locks { return &locks{byKey: map[string]*lock{}} }

// lock waits for key's lock and returns what releases it, or ctx's error.
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
	select {
	case k.held <- struct{}{}:
		return func() { <-k.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
