package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/nicferry/nicferry/internal/store"
)

type term struct {
	store *Store
	key   string
	rev   store.Rev
	lease clientv3.LeaseID
	once  sync.Once
	lost  chan struct{}
}

// beginTerm keeps a term until its end, which is known to be no later than until
// unless etcd says more.
func (s *Store) beginTerm(key string, rev store.Rev, lease clientv3.LeaseID, until time.Time) (*term, error) {
	t := &term{store: s, key: key, rev: rev, lease: lease, lost: make(chan struct{})}
	s.mu.Lock()
	if s.terms == nil {
		s.mu.Unlock()
		return nil, store.ErrClosed
	}
	s.terms[t] = struct{}{}
	s.running.Go(func() { t.keep(until) })
	s.running.Go(t.look)
	s.mu.Unlock()
	return t, nil
}

func (t *term) Number() uint64        { return uint64(t.rev) }
func (t *term) Check() store.Op       { return store.Check(t.key, t.rev) }
func (t *term) Lost() <-chan struct{} { return t.lost }

// Resign removes the record with its lease.
func (t *term) Resign(ctx context.Context) error {
	err := ctx.Err()
	select {
	case <-t.lost:
	default:
		if err == nil {
			err = t.store.revoke(ctx, t.lease)
		}
	}
	t.end()
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) && t.store.ctx.Err() == nil {
		return fmt.Errorf("remove %q: %w", t.key, err)
	}
	return nil
}

func (t *term) end() {
	t.once.Do(func() { close(t.lost) })
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	delete(t.store.terms, t)
}

// keep says to etcd that the leader is there, and ends the term when that has not
// arrived for as long as a term is: by then etcd may have given it to another. A process
// that was frozen finds that out here, or by the first commit that is refused.
func (t *term) keep(until time.Time) {
	defer t.end()
	third := t.store.opts.Term / 3
	next := time.NewTimer(third)
	defer next.Stop()
	for {
		select {
		case <-t.lost:
			return
		case <-t.store.ctx.Done():
			return
		case <-next.C:
		}
		asked := time.Now()
		if asked.After(until) {
			return
		}
		ctx, cancel := context.WithTimeout(t.store.ctx, third)
		resp, err := t.store.client.KeepAliveOnce(ctx, t.lease)
		cancel()
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			return
		case err != nil:
			next.Reset(min(retryPause, max(0, time.Until(until))))
			continue
		}
		until = asked.Add(time.Duration(resp.TTL) * time.Second)
		next.Reset(third)
	}
}

// look ends the term when its record is gone or another's, such as by somebody's hand.
func (t *term) look() {
	ctx, cancel := context.WithCancel(t.store.ctx)
	defer cancel()
	t.store.running.Go(func() {
		select {
		case <-t.lost:
			cancel()
		case <-ctx.Done():
		}
	})
	for t.store.replaced(ctx, t.key, t.rev) == nil {
		rec, err := t.store.Get(ctx, t.key)
		if errors.Is(err, store.ErrNotFound) || err == nil && rec.Rev != t.rev {
			t.end()
			return
		}
		if err != nil && !t.store.rest(ctx) {
			return
		}
	}
}
