package etcdstore

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/nicferry/nicferry/internal/store"
)

// maxRequest, in bytes, is more than etcd takes in one unless --max-request-bytes says
// otherwise: it shall say so itself.
const maxRequest = 8 << 20

// errUnknown: etcd went away during a commit, and stayed away.
var errUnknown = errors.New("the outcome of the commit is unknown")

// Commit is that of store.Store.
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	if err := store.Validate(ops...); err != nil {
		return 0, err
	}
	if err := s.open(ctx); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	writes := false
	for _, op := range ops {
		writes = writes || op.Writes()
	}
	var rev int64
	var err error
	if writes {
		rev, err = s.write(ctx, ops)
	} else {
		rev, err = s.check(ctx, ops)
	}
	var conflict *store.ConflictError
	switch {
	case errors.As(err, &conflict):
		return 0, err
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return 0, fmt.Errorf("commit of %d ops, for which etcd's --max-txn-ops must be at least %d (its default is 128): %w", len(ops), len(ops)+1, err)
	case tooLarge(err):
		bytes := 0
		for _, op := range ops {
			bytes += len(op.Key) + len(op.Value)
		}
		return 0, fmt.Errorf("commit of %d bytes is too large for etcd's --max-request-bytes (its default is 1.5 MiB): %w", bytes, err)
	case err != nil:
		return 0, fmt.Errorf("commit: %w", err)
	}
	return store.Rev(rev), nil
}

// check is a commit that writes nothing.
func (s *Store) check(ctx context.Context, ops []store.Op) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	t := s.alone(ops)
	// Without a read among its operations etcd would answer from what one member has,
	// which may be old.
	any := clientv3.OpGet(s.records, clientv3.WithCountOnly())
	resp, err := s.client.Txn(ctx).If(t.conditions...).Then(any).Else(append(t.gets, any)...).Commit()
	if err != nil {
		return 0, s.failure(ctx, err)
	}
	s.saw(resp.Header.GetRevision())
	if !resp.Succeeded {
		return 0, conflictOf(ops, resp)
	}
	return resp.Header.GetRevision(), nil
}

// A txn is what etcd is asked for as one transaction.
type txn struct {
	conditions   []clientv3.Cmp
	writes, gets []clientv3.Op // gets are for when a condition does not hold
	// why says which one did not, by an answer whose first parts are what gets has read.
	why func(*clientv3.TxnResponse) error
}

// shared compares and writes what the ops say, and does not find out why it cannot.
func (s *Store) shared(ops []store.Op) txn {
	t := txn{why: func(*clientv3.TxnResponse) error { return errApart }}
	t.conditions, t.writes = make([]clientv3.Cmp, 0, len(ops)+1), make([]clientv3.Op, 0, len(ops)+1)
	for _, op := range ops {
		key := s.records + op.Key
		t.conditions = append(t.conditions, clientv3.Compare(clientv3.ModRevision(key), "=", int64(op.Expect)))
		switch op.Kind {
		case store.OpPut:
			t.writes = append(t.writes, clientv3.OpPut(key, string(op.Value)))
		case store.OpDelete:
			t.writes = append(t.writes, clientv3.OpDelete(key))
		}
	}
	return t
}

// alone is that of one commit, which is told what was in its way.
func (s *Store) alone(ops []store.Op) txn {
	t := s.shared(ops)
	for _, op := range ops {
		t.gets = append(t.gets, clientv3.OpGet(s.records+op.Key, clientv3.WithKeysOnly()))
	}
	t.why = func(resp *clientv3.TxnResponse) error { return conflictOf(ops, resp) }
	return t
}

// conflictOf is the first expectation that has failed, by the answer whose first parts
// are what gets has read.
func conflictOf(ops []store.Op, resp *clientv3.TxnResponse) error {
	for i, op := range ops {
		if err := op.Meets(store.Rev(revOf(resp, i))); err != nil {
			return err
		}
	}
	return fmt.Errorf("etcd refused a commit whose expectations hold: %w", store.ErrConflict)
}

// revOf is the revision of the one key that a part of the answer tells of, 0 if there
// is none.
func revOf(resp *clientv3.TxnResponse, part int) int64 {
	if kvs := resp.Responses[part].GetResponseRange().GetKvs(); len(kvs) == 1 {
		return kvs[0].ModRevision
	}
	return 0
}

// writeOnce makes a transaction that writes. It is asked for again, to the letter, when
// etcd went away meanwhile: the mark tells whether it has happened, and has it happen once.
func (s *Store) writeOnce(t txn) (int64, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.Timeout)
	defer cancel()
	for range 2 {
		m, err := s.marks.take(ctx)
		if err != nil {
			return 0, s.failure(ctx, err)
		}
		rev, err := s.writeMarked(ctx, t, m)
		if errors.Is(err, errMarkGone) {
			s.marks.drop(m)
			continue
		}
		if !errors.Is(err, errUnknown) { // else it may happen yet
			s.marks.giveBack(m)
		}
		return rev, err
	}
	return 0, fmt.Errorf("etcd has forgotten this process twice: %w", store.ErrUnavailable)
}

func (s *Store) writeMarked(ctx context.Context, t txn, m *mark) (int64, error) {
	conditions, writes, gets := append(t.conditions, m.same()), append(t.writes, m.putAs(committed)), append(t.gets, m.get())
	for again := false; ; again = true {
		resp, err := s.client.Txn(ctx).If(conditions...).Then(writes...).Else(gets...).Commit()
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound) && !again:
			return 0, errMarkGone
		case err != nil && !away(err) && !again:
			return 0, s.failure(ctx, err)
		case err != nil && away(err) && s.rest(ctx):
			continue
		case err != nil:
			return 0, fmt.Errorf("%w: %w", errUnknown, s.failure(ctx, err))
		}
		s.saw(resp.Header.GetRevision())
		if resp.Succeeded {
			m.rev = resp.Header.GetRevision()
			return m.rev, nil
		}
		switch at := revOf(resp, len(t.gets)); {
		case at == m.rev && again:
			return s.settle(ctx, t, resp, m)
		case at == m.rev:
			return 0, t.why(resp)
		case at == 0 && !again:
			return 0, errMarkGone
		case at == 0:
			return 0, errUnknown
		default: // an earlier try has
			m.rev = at
			return at, nil
		}
	}
}

// settle has a commit that did not happen never happen: an earlier try may still be on
// its way, and what it expects may come true again.
func (s *Store) settle(ctx context.Context, t txn, refused *clientv3.TxnResponse, m *mark) (int64, error) {
	for {
		resp, err := s.client.Txn(ctx).If(m.same()).Then(m.putAs(settled)).Else(clientv3.OpGet(m.key)).Commit()
		switch {
		case err != nil && away(err) && s.rest(ctx):
			continue
		case err != nil:
			return 0, fmt.Errorf("%w: %w", errUnknown, s.failure(ctx, err))
		case resp.Succeeded:
			m.rev = resp.Header.GetRevision()
			return 0, t.why(refused)
		}
		kvs := resp.Responses[0].GetResponseRange().GetKvs()
		if len(kvs) == 0 {
			return 0, errUnknown
		}
		m.rev = kvs[0].ModRevision
		if string(kvs[0].Value) == settled { // by an earlier try of this
			return 0, t.why(refused)
		}
		return m.rev, nil // the earlier try came in between
	}
}
