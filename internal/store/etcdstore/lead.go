package etcdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/nicferry/nicferry/internal/store"
)

// leader is what a leader record holds.
type leader struct {
	Schema int    `json:"schema"`
	Holder string `json:"holder,omitempty"`
}

// Lead is that of store.Store. The leader record is the term, and its revision the
// term's number; etcd removes it when the leader has not been heard of for a term.
func (s *Store) Lead(ctx context.Context, name string) (store.Term, error) {
	key := store.LeaderPrefix + name
	if err := store.Validate(store.Check(key, 0)); err != nil || name == "" {
		return nil, fmt.Errorf("lead %.100q: not a name: %w", name, errors.Join(err, store.ErrInvalid))
	}
	for {
		if err := s.vacant(ctx, key); err != nil {
			return nil, fmt.Errorf("lead %q: %w", name, err)
		}
		t, err := s.seize(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("lead %q: %w", name, err)
		}
		if t != nil {
			return t, nil
		}
	}
}

// vacant waits until there is no leader record. While etcd is away it asks on.
func (s *Store) vacant(ctx context.Context, key string) error {
	for {
		rec, err := s.Get(ctx, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case errors.Is(err, store.ErrUnavailable):
			if !s.rest(ctx) {
				return s.ended(ctx)
			}
			continue
		case err != nil:
			return err
		}
		if err := s.replaced(ctx, key, rec.Rev); err != nil {
			return err
		}
	}
}

// replaced waits until the record is not of that revision any more, as far as can be
// told; to say so too early does no harm.
func (s *Store) replaced(ctx context.Context, key string, rev store.Rev) error {
	w, err := s.Watch(ctx, key, rev)
	if err == nil {
		defer w.Close()
	}
	for err == nil {
		var events []store.Event
		events, err = w.Next(ctx)
		for _, e := range events {
			if e.Key == key && e.Rev > rev {
				return nil
			}
		}
	}
	if errors.Is(err, store.ErrCompacted) || errors.Is(err, store.ErrUnavailable) {
		return s.wait(ctx, key, rev)
	}
	return err
}

// wait is replaced for a record older than what the log keeps: etcd is asked itself.
func (s *Store) wait(ctx context.Context, key string, rev store.Rev) error {
	until, cancel := context.WithTimeout(ctx, s.opts.Term)
	defer cancel()
	now := int64(rev)
	if resp, err := s.get(until, key, clientv3.WithKeysOnly()); err == nil {
		if len(resp.Kvs) == 0 || resp.Kvs[0].ModRevision != int64(rev) {
			return nil
		}
		now = resp.Header.GetRevision()
	}
	for resp := range s.client.Watch(clientv3.WithRequireLeader(until), s.records+key, clientv3.WithRev(now+1)) {
		if len(resp.Events) > 0 || resp.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil || s.ctx.Err() != nil {
		return s.ended(ctx)
	}
	return nil // look again
}

func (s *Store) ended(ctx context.Context) error {
	if s.ctx.Err() != nil {
		return store.ErrClosed
	}
	return ctx.Err()
}

// seize writes the leader record if there is none; nil if another was quicker.
func (s *Store) seize(ctx context.Context, key string) (*term, error) {
	value, err := json.Marshal(leader{Schema: 1, Holder: s.opts.Holder})
	if err != nil {
		return nil, err
	}
	asking, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	began := time.Now()
	lease, err := s.client.Grant(asking, int64(s.opts.Term/time.Second))
	if err != nil {
		return nil, s.unlessAway(ctx, asking, err)
	}
	resp, err := s.client.Txn(asking).
		If(clientv3.Compare(clientv3.ModRevision(s.records+key), "=", 0)).
		Then(clientv3.OpPut(s.records+key, string(value), clientv3.WithLease(lease.ID))).Commit()
	if err != nil || !resp.Succeeded {
		// Whether it was written or not, and even if it still will be: it ends with the
		// lease.
		_ = s.revoke(context.WithoutCancel(ctx), lease.ID)
	}
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return nil, nil
	case err != nil:
		return nil, s.unlessAway(ctx, asking, err)
	case !resp.Succeeded:
		return nil, nil
	}
	s.saw(resp.Header.GetRevision())
	return s.beginTerm(key, store.Rev(resp.Header.GetRevision()), lease.ID, began.Add(time.Duration(lease.TTL)*time.Second))
}

// unlessAway is nil, after a rest, for an error that another try may not have.
func (s *Store) unlessAway(ctx, asking context.Context, err error) error {
	switch {
	case ctx.Err() != nil || s.ctx.Err() != nil:
		return s.ended(ctx)
	case away(err):
		if !s.rest(ctx) {
			return s.ended(ctx)
		}
		return nil
	}
	return s.failure(asking, err)
}
