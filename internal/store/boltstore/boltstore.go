// Package boltstore keeps records in one bbolt file, durable at each commit.
package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/election"
	"github.com/nicferry/nicferry/internal/store/history"
)

// The reasons why a file is not opened. It is left as it was each time.
var (
	// ErrInUse: another process has the file open.
	ErrInUse = errors.New("store file in use")
	// ErrDamaged: the file is, or was, a store, but not all of it is there.
	ErrDamaged = errors.New("store file damaged")
	// ErrForeign: the file is something else.
	ErrForeign = errors.New("not a store file of nicferry")
	// ErrNewer: the file was written by a newer version.
	ErrNewer = errors.New("store file too new")
)

const (
	// mapSize is how much of the file is mapped from the start, in bytes of
	// address space. Until the file outgrows it no writer waits for a reader.
	mapSize = 256 << 20
	// allocSize is the bytes by which the file grows.
	allocSize = 1 << 20
)

// Options of Open. The zero value is good.
type Options struct {
	// LockWait is how long to wait for another process to let go of the file.
	// Optional; 0: 2 s, which covers a restart.
	LockWait time.Duration
	// History is how many commits are kept for watches, since Open. Optional;
	// 0: history.DefaultKeep.
	History int
	// Backups lets the file's owner back it up while it is open, by a socket beside it.
	Backups bool
	// NoSync leaves out the fsync of each commit. For tests of something else
	// only: a power cut then loses commits or the file.
	NoSync bool
}

// A Store is a store.Store in one file:
//
//	bucket "nicferry"
//	    "schema"  the layout's version, in decimal
//	    "state"   revision u64 | number of records u64 | sum u64 | checksum u64
//	bucket "records"
//	    key       revision u64 | checksum u64 | value
//
// Integers are big-endian. A checksum is the CRC-64 of what it stands with, a
// record's covers the key too. The sum adds up the checksums of all records,
// so that Open finds out if one is missing. bbolt replaces both buckets in one
// step with each commit; its page checks are done by Open (see verify), since
// bbolt itself trusts its file. The list of free pages is not stored but made
// by Open.
type Store struct {
	path     string
	db       *bolt.DB
	election *election.Election
	log      *history.Log
	mapped   mapped
	hatch    *hatch // nil without Options.Backups

	queue   chan *request
	closing chan struct{}
	stopped chan struct{} // the writer has returned
	once    sync.Once
	closed  error

	// Of the writer alone.
	state  state
	failed error
}

var _ store.Store = (*Store)(nil)

// Open opens the store in the file at path and makes it, with mode 0600, if
// there is none. It reads the whole file once and refuses one that is not
// entirely right. ctx bounds the wait for the lock only.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	file, err := openFile(ctx, path, opts.LockWait)
	if err != nil {
		return nil, fmt.Errorf("open store: %w%s", err, advice(err))
	}
	db, now, err := load(path, file, func(o *bolt.Options) { o.NoSync = opts.NoSync })
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		path:    path,
		db:      db,
		log:     history.New(now.rev, opts.History),
		queue:   make(chan *request),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
		state:   now,
	}
	s.election = election.New(election.Records{Get: s.Get, Commit: s.commit})
	if opts.Backups {
		if s.hatch, err = openHatch(s); err != nil {
			return nil, fmt.Errorf("open store: %w", errors.Join(err, db.Close()))
		}
	}
	go s.write()
	return s, nil
}

// Get is that of store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Record, error) {
	rec := store.Record{Key: key}
	err := s.view(ctx, func(b buckets) error {
		defer s.mapped.read(b.records.Tx(), around)
		stored := b.records.Get([]byte(key))
		if stored == nil {
			return store.ErrNotFound
		}
		e, err := decode(key, stored)
		if err != nil {
			return err
		}
		rec.Rev, rec.Value = e.rev, bytes.Clone(e.value)
		return nil
	})
	if err != nil {
		return store.Record{}, fmt.Errorf("get record %.100q: %w", key, err)
	}
	return rec, nil
}

// List is that of store.Store.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]store.Record, store.Rev, error) {
	if err := store.ValidateList(limit); err != nil {
		return nil, 0, err
	}
	if limit == 0 {
		limit = math.MaxInt
	}
	var (
		list []store.Record
		now  state
		read int
	)
	err := s.view(ctx, func(b buckets) error {
		var err error
		if now, err = b.state(); err != nil {
			return err
		}
		defer func() { s.mapped.read(b.records.Tx(), read) }()
		c := b.records.Cursor()
		k, v := c.Seek([]byte(max(prefix, after)))
		if k != nil && string(k) == after {
			k, v = c.Next()
		}
		for ; bytes.HasPrefix(k, []byte(prefix)) && k != nil && len(list) < limit; k, v = c.Next() {
			key := string(k)
			e, err := decode(key, v)
			if err != nil {
				return err
			}
			list = append(list, store.Record{Key: key, Value: bytes.Clone(e.value), Rev: e.rev})
			read += len(v)
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list records %.100q: %w", prefix, err)
	}
	return list, now.rev, nil
}

// Commit is that of store.Store.
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	if err := store.Validate(ops...); err != nil {
		return 0, err
	}
	return s.commit(ctx, ops...)
}

// Watch is that of store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Rev) (store.Watch, error) {
	var now state
	err := s.view(ctx, func(b buckets) (err error) {
		now, err = b.state()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("watch %.100q: %w", prefix, err)
	}
	return s.log.Watch(prefix, from, now.rev)
}

// Lead is that of store.Store.
func (s *Store) Lead(ctx context.Context, name string) (store.Term, error) {
	return s.election.Lead(ctx, name)
}

// Close is that of store.Store. It waits for the commit that is being written
// and lets go of the file.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.election.Close()
		s.log.Close()
		close(s.closing)
		<-s.stopped
		if s.hatch != nil {
			if err := s.hatch.close(); err != nil {
				s.closed = fmt.Errorf("close the socket of store %s: %w", s.path, err)
			}
		}
		if err := s.db.Close(); err != nil {
			s.closed = errors.Join(s.closed, fmt.Errorf("close store %s: %w", s.path, err))
		}
	})
	return s.closed
}

// view runs read in a transaction that sees one state of the store. What it is
// given is valid until it returns.
func (s *Store) view(ctx context.Context, read func(buckets) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.db.View(func(tx *bolt.Tx) error { return read(bucketsOf(tx)) })
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}
