package etcdstore

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/nicferry/nicferry/internal/store"
)

const (
	// underWay is how many transactions of commits that write etcd is asked for at a
	// time. Who comes meanwhile shares the next one: a rack that restarts would otherwise
	// cost etcd, and this process, a call for each of its claims.
	underWay = 4
	// mostOps and mostBytes bound what shares a transaction: etcd takes 128 operations
	// unless it is told otherwise, one of which is the mark.
	mostOps   = 127
	mostBytes = 256 << 10
)

// errApart: of several commits in one transaction one was refused, and so all were.
var errApart = errors.New("not all of the commits can be made")

// A request is a commit on its way to etcd.
type request struct {
	ops  []store.Op
	rev  int64
	err  error
	done chan struct{} // closed when rev and err are set
}

func (r *request) answer(rev int64, err error) {
	r.rev, r.err = rev, err
	close(r.done)
}

// A queue is the commits that etcd has not been asked for yet.
type queue struct {
	mu       sync.Mutex
	waiting  []*request
	underWay int
	over     bool
}

// put adds a commit, and starts somebody who takes it if too few do so.
func (q *queue) put(r *request, start func()) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over {
		return store.ErrClosed
	}
	q.waiting = append(q.waiting, r)
	if q.underWay < underWay {
		q.underWay++
		start()
	}
	return nil
}

// take returns commits that may share a transaction, the longest waiting one among them;
// none if nobody waits, and whoever asked is not needed any more.
func (q *queue) take() (t together) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.underWay--
	}
	q.waiting = slices.DeleteFunc(q.waiting, t.add)
	return t
}

// withdraw takes back a commit that etcd has not been asked for.
func (q *queue) withdraw(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := len(q.waiting)
	q.waiting = slices.DeleteFunc(q.waiting, func(other *request) bool { return other == r })
	return len(q.waiting) < before
}

// close refuses all who wait, and all who come.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	for _, r := range q.waiting {
		r.answer(0, store.ErrClosed)
	}
	q.waiting = nil
}

// together are commits that share a transaction, which has one revision: none of them
// touches what another one writes, so that it is as if one had been after the other.
type together struct {
	requests []*request
	ops      []store.Op // of all, each check once
	touched  map[string]store.Op
	bytes    int
}

// add takes a commit that may share the transaction, as the first one may.
func (t *together) add(r *request) bool {
	bytes := 0
	for _, op := range r.ops {
		bytes += len(op.Key) + len(op.Value)
	}
	if len(t.requests) > 0 && (t.bytes+bytes > mostBytes || !t.fits(r.ops)) {
		return false
	}
	t.requests, t.bytes = append(t.requests, r), t.bytes+bytes
	if t.touched == nil {
		t.touched = make(map[string]store.Op, mostOps)
	}
	for _, op := range r.ops {
		if _, known := t.touched[op.Key]; !known {
			t.touched[op.Key], t.ops = op, append(t.ops, op)
		}
	}
	return true
}

func (t *together) fits(ops []store.Op) bool {
	further := 0
	for _, op := range ops {
		other, known := t.touched[op.Key]
		if known && (op.Writes() || other.Writes() || op.Expect != other.Expect) {
			return false
		}
		if !known {
			further++
		}
	}
	return len(t.ops)+further <= mostOps
}

// write is a commit that writes. Until etcd is asked for it ctx may end it; then the
// outcome is awaited.
func (s *Store) write(ctx context.Context, ops []store.Op) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	r := &request{ops: ops, done: make(chan struct{})}
	if err := s.queue.put(r, func() { s.running.Go(s.carryOut) }); err != nil {
		return 0, err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if s.queue.withdraw(r) {
			return 0, s.failure(ctx, ctx.Err())
		}
		<-r.done
	}
	return r.rev, r.err
}

// carryOut asks etcd for what waits, until nothing does.
func (s *Store) carryOut() {
	for t := s.queue.take(); len(t.requests) > 0; t = s.queue.take() {
		s.writeTogether(t)
	}
}

// writeTogether writes the commits in one transaction, or each in its own if they cannot
// all be made.
func (s *Store) writeTogether(t together) {
	if len(t.requests) > 1 {
		rev, err := s.writeOnce(s.shared(t.ops))
		if err == nil || errors.Is(err, errUnknown) || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrClosed) {
			for _, r := range t.requests {
				r.answer(rev, err)
			}
			return
		}
	}
	var wg sync.WaitGroup
	for _, r := range t.requests[1:] {
		wg.Go(func() { r.answer(s.writeOnce(s.alone(r.ops))) })
	}
	first := t.requests[0]
	first.answer(s.writeOnce(s.alone(first.ops)))
	wg.Wait()
}
