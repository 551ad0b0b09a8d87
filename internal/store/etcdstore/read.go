package etcdstore

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/nicferry/nicferry/internal/store"
)

const (
	// page is how many records are read at a time.
	page = 1000
	// maxRestarts bounds how often a list begins anew because etcd has forgotten the
	// revision that it is read at.
	maxRestarts = 5
)

// Get is that of store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Record, error) {
	resp, err := s.get(ctx, key)
	if err == nil && len(resp.Kvs) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Record{}, fmt.Errorf("get record %.100q: %w", key, err)
	}
	return s.record(resp.Kvs[0]), nil
}

// List is that of store.Store.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]store.Record, store.Rev, error) {
	if err := store.ValidateList(limit); err != nil {
		return nil, 0, err
	}
	for range maxRestarts {
		list, rev, err := s.list(ctx, prefix, after, limit)
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("list records %.100q: %w", prefix, err)
		}
		return list, store.Rev(rev), nil
	}
	return nil, 0, fmt.Errorf("list records %.100q: etcd forgot the revision %d times while it was read: %w", prefix, maxRestarts, store.ErrUnavailable)
}

// list reads pages, all at the revision of the first.
func (s *Store) list(ctx context.Context, prefix, after string, limit int) (list []store.Record, rev int64, err error) {
	end := clientv3.WithRange(clientv3.GetPrefixRangeEnd(s.records + prefix))
	from := prefix
	if after >= prefix {
		from = after + "\x00"
	}
	for {
		most := page
		if limit > 0 {
			most = min(page, limit-len(list))
		}
		resp, err := s.get(ctx, from, end, clientv3.WithLimit(int64(most)), clientv3.WithRev(rev))
		if err != nil {
			return nil, 0, err
		}
		if rev == 0 {
			rev = resp.Header.GetRevision()
		}
		for _, kv := range resp.Kvs {
			list = append(list, s.record(kv))
		}
		if !resp.More || len(list) == limit {
			return list, rev, nil
		}
		from = list[len(list)-1].Key + "\x00"
	}
}

// get reads from the key of a record on, as a majority of the members has it.
func (s *Store) get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	resp, err := s.client.Get(ctx, s.records+key, opts...)
	if err != nil {
		return nil, s.failure(ctx, err)
	}
	s.saw(resp.Header.GetRevision())
	return resp, nil
}

func (s *Store) record(kv *mvccpb.KeyValue) store.Record {
	value := kv.Value
	if value == nil {
		value = []byte{}
	}
	return store.Record{Key: string(kv.Key[len(s.records):]), Value: value, Rev: store.Rev(kv.ModRevision)}
}
