package boltstore

import (
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/nicferry/nicferry/internal/store"
)

// maxBatch is how many commits share one transaction of bbolt, and so one
// fsync. Many writers get many commits per fsync; one writer loses nothing.
const maxBatch = 256

// A request is one commit on its way to the writer.
type request struct {
	ops  []store.Op
	rev  store.Rev
	err  error
	done chan struct{} // closed when rev and err are set
}

// commit hands ops to the writer. Until the writer has taken them ctx may end
// the wait; then the outcome is known soon.
func (s *Store) commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	r := &request{ops: ops, done: make(chan struct{})}
	select {
	case <-s.closing: // select chooses freely, but a closed store takes nothing
		return 0, fmt.Errorf("commit: %w", store.ErrClosed)
	default:
	}
	select {
	case s.queue <- r:
	case <-s.closing:
		return 0, fmt.Errorf("commit: %w", store.ErrClosed)
	case <-ctx.Done():
		return 0, fmt.Errorf("commit: %w", ctx.Err())
	}
	<-r.done
	return r.rev, r.err
}

// write is the one writer. It takes all who wait, writes their commits in
// order in one transaction, and answers them.
func (s *Store) write() {
	defer close(s.stopped)
	for {
		select {
		case r := <-s.queue:
			waiting := s.drain(r)
			s.writeBatch(waiting)
			for _, r := range waiting {
				close(r.done)
			}
		case <-s.closing:
			return
		}
	}
}

func (s *Store) drain(first *request) []*request {
	waiting := []*request{first}
	for len(waiting) < maxBatch {
		select {
		case r := <-s.queue:
			waiting = append(waiting, r)
		default:
			return waiting
		}
	}
	return waiting
}

func (s *Store) writeBatch(waiting []*request) {
	now, commits, err := s.tryBatch(waiting)
	if err != nil {
		err = fmt.Errorf("commit to %s: %w", s.path, s.afterFailure(err))
		for _, r := range waiting {
			// Even a conflict may have been with a commit that is not there.
			r.rev, r.err = 0, err
		}
		return
	}
	s.state = now
	if len(commits) > 0 {
		s.log.Append(commits...)
	}
}

// tryBatch sets each request's answer. They hold if it returns no error.
func (s *Store) tryBatch(waiting []*request) (state, [][]store.Event, error) {
	if s.failed != nil {
		return state{}, nil, s.failed
	}
	tx, err := s.db.Begin(true)
	if err != nil {
		return state{}, nil, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it says so, and does nothing
	b := batch{buckets: bucketsOf(tx), now: s.state}
	b.cursor = b.records.Cursor()
	for _, r := range waiting {
		if err := b.carryOut(r); err != nil {
			return state{}, nil, err
		}
		s.mapped.read(tx, around*len(r.ops))
	}
	if len(b.commits) == 0 {
		return b.now, nil, nil
	}
	if err := b.putState(b.now); err != nil {
		return state{}, nil, err
	}
	return b.now, b.commits, tx.Commit()
}

// afterFailure looks whether the store is still what it was before a commit
// that failed, as it is when the disk is full. If not, or if it cannot tell,
// all further commits are refused: the next Open reads what is on the disk.
func (s *Store) afterFailure(cause error) error {
	if s.failed != nil {
		return cause
	}
	var now state
	err := s.db.View(func(tx *bolt.Tx) (err error) {
		now, err = bucketsOf(tx).state()
		return err
	})
	if err == nil && now == s.state {
		return cause
	}
	s.failed = fmt.Errorf("the outcome of a commit is unknown, restart nicferryd to read what is on the disk: %w", cause)
	s.election.Close()
	return s.failed
}

// A batch is the commits of one transaction so far.
type batch struct {
	buckets
	cursor  *bolt.Cursor // of the records: one look takes it no more memory than the last
	now     state
	commits [][]store.Event
}

// carryOut does one commit, all or nothing. An error of its own spoils the
// whole transaction.
func (b *batch) carryOut(r *request) error {
	old := make([]entry, len(r.ops))
	writes := false
	for i, op := range r.ops {
		if stored := b.find(op.Key); stored != nil {
			if old[i], r.err = decode(op.Key, stored); r.err != nil {
				return nil
			}
		}
		if r.err = op.Meets(old[i].rev); r.err != nil {
			return nil
		}
		writes = writes || op.Writes()
	}
	r.rev = b.now.rev
	if !writes {
		return nil
	}
	b.now.rev++
	r.rev = b.now.rev
	var events []store.Event
	for i, op := range r.ops {
		if !op.Writes() {
			continue
		}
		event, err := b.write(op, old[i])
		if err != nil {
			return err
		}
		events = append(events, event)
	}
	b.commits = append(b.commits, events)
	return nil
}

// find is what is stored under the key; nil if nothing is.
func (b *batch) find(key string) []byte {
	if found, stored := b.cursor.Seek([]byte(key)); string(found) == key {
		return stored
	}
	return nil
}

// write carries out an op whose expectation holds. Revisions begin at 1, so an
// old record with revision 0 is none.
func (b *batch) write(op store.Op, old entry) (store.Event, error) {
	rec := store.Record{Key: op.Key, Rev: b.now.rev}
	if old.rev != 0 {
		b.now.count--
		b.now.sum -= old.checksum
	}
	if op.Kind == store.OpDelete {
		return store.Event{Record: rec, Gone: true}, b.records.Delete([]byte(op.Key))
	}
	stored, sum := encode(op.Key, rec.Rev, op.Value)
	rec.Value = stored[entryHeader:]
	b.now.count++
	b.now.sum += sum
	return store.Event{Record: rec}, b.records.Put([]byte(op.Key), stored)
}
