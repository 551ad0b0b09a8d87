package etcdstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/nicferry/nicferry/internal/store"
)

const (
	// marksLife is for how long, in seconds, the marks of a process outlive it.
	marksLife = 60
	// retryPause is the time between two tries of a call while etcd is away.
	retryPause = 100 * time.Millisecond
)

// errMarkGone: etcd has forgotten the mark, because this process was away for long.
var errMarkGone = errors.New("the commit's mark is gone")

// marks are those of a process, one for each transaction at a time.
type marks struct {
	store  *Store
	prefix string

	mu    sync.Mutex
	lease clientv3.LeaseID // 0 before the first
	name  string
	made  int
	free  []*mark
	over  bool
}

// A mark is a key that each transaction which has it expects as the one before has left
// it, and writes anew. So none happens twice, however often it is asked for, and its
// revision is the mark's.
type mark struct {
	key   string
	lease clientv3.LeaseID
	rev   int64 // 0: it has not been written yet
}

func (m *mark) same() clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(m.key), "=", m.rev)
}
func (m *mark) get() clientv3.Op { return clientv3.OpGet(m.key, clientv3.WithKeysOnly()) }

// What a mark says of the transaction that wrote it: it happened, or it never will.
const (
	committed = "committed"
	settled   = "settled"
)

func (m *mark) putAs(what string) clientv3.Op {
	return clientv3.OpPut(m.key, what, clientv3.WithLease(m.lease))
}

// take returns a mark for one transaction.
func (a *marks) take(ctx context.Context) (*mark, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.free); n > 0 {
		m := a.free[n-1]
		a.free = a.free[:n-1]
		return m, nil
	}
	if a.over {
		return nil, store.ErrClosed
	}
	if a.lease == 0 {
		if err := a.begin(ctx); err != nil {
			return nil, err
		}
	}
	a.made++
	return &mark{key: fmt.Sprintf("%s%s/%d", a.prefix, a.name, a.made), lease: a.lease}, nil
}

// begin has etcd keep marks for as long as this process says. The caller holds the
// lock.
func (a *marks) begin(ctx context.Context) error {
	for {
		lease, err := a.store.client.Grant(ctx, marksLife)
		if err != nil && away(err) && a.store.rest(ctx) {
			continue
		}
		if err != nil {
			return err
		}
		kept, err := a.store.client.KeepAlive(a.store.ctx, lease.ID)
		if err != nil {
			return err
		}
		a.store.running.Go(func() {
			for range kept { // it ends when the lease does
			}
		})
		a.lease, a.name, a.made, a.free = lease.ID, rand.Text()[:12], 0, nil
		return nil
	}
}

// giveBack lets another transaction have the mark.
func (a *marks) giveBack(m *mark) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.lease == a.lease {
		a.free = append(a.free, m)
	}
}

// drop begins anew after etcd has forgotten a mark.
func (a *marks) drop(m *mark) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.lease == a.lease {
		a.lease, a.free = 0, nil
	}
}

// close has etcd forget the marks.
func (a *marks) close(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	if a.lease != 0 {
		_ = a.store.revoke(ctx, a.lease) // else they go by themselves
	}
}

// rest waits a little before a call is made again; false if there is no time for that.
func (s *Store) rest(ctx context.Context) bool {
	select {
	case <-s.ctx.Done():
		return false
	case <-ctx.Done():
		return false
	case <-time.After(retryPause):
		return ctx.Err() == nil
	}
}

func (s *Store) revoke(ctx context.Context, lease clientv3.LeaseID) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	_, err := s.client.Revoke(ctx, lease)
	return err
}
