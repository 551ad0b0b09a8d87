// Package store keeps records with revisions: one contract, with a durable
// implementation in one file (boltstore), one on etcd (etcdstore) and one in memory
// (memstore).
package store

import (
	"context"
	"errors"
)

// A Rev orders commits that write. It grows with each, over the whole store, and is
// kept across restarts; a store that others share may pass over some, and may give one to
// several commits that it makes in one step, none of which touches what another writes. The
// revision of a record is that of the commit which last wrote it.
type Rev uint64

// The errors that callers branch on.
var (
	// ErrNotFound: no record under that key.
	ErrNotFound = errors.New("no such record")
	// ErrConflict: a record is not at the revision that the commit expects;
	// nothing was written. Read again and decide again. The error is a
	// *ConflictError, which has the key.
	ErrConflict = errors.New("record changed meanwhile")
	// ErrCompacted: the watch asks for history that is no longer kept. List
	// again and watch from there.
	ErrCompacted = errors.New("history no longer kept")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store closed")
	// ErrUnavailable: the store cannot be asked at present, such as when it is on other
	// machines that do not answer. The same again later.
	ErrUnavailable = errors.New("store does not answer")
	// ErrInvalid: the call can never succeed, such as a commit with the same
	// key twice. Nothing was written; it is the caller's fault.
	ErrInvalid = errors.New("invalid use of the store")
)

// A Record is one value under its key.
type Record struct {
	Key   string
	Value []byte
	Rev   Rev

	once *any // a pointer to what it was decoded to, see Once
}

// A Store keeps records. All methods may be called concurrently.
type Store interface {
	// Get returns ErrNotFound if there is none.
	Get(ctx context.Context, key string) (Record, error)

	// List returns up to limit records (0: all) whose key has the prefix and
	// sorts after the key after, in key order (by byte), and the store's
	// revision that the answer is true for: watch from there.
	List(ctx context.Context, prefix, after string, limit int) ([]Record, Rev, error)

	// Commit carries out all ops or none. Before anything is written each
	// op's expectation is checked; if one fails it returns ErrConflict, and
	// the error names the key. When it returns nil the ops are durable. A key
	// may appear in one op only. The revision returned is the commit's; a
	// commit of checks alone writes nothing and returns the store's.
	//
	// If ctx ends before the store has begun on the commit, nothing is
	// written; from then on Commit waits for the outcome and says it.
	// Any error that is none of this package's (a full disk) also means that
	// nothing was written, unless it says that the outcome is unknown.
	Commit(ctx context.Context, ops ...Op) (Rev, error)

	// Watch sends every change to keys with the prefix, in order and without
	// gaps, that is newer than from. It returns ErrCompacted if it cannot,
	// also for a revision that the store has not reached.
	Watch(ctx context.Context, prefix string, from Rev) (Watch, error)

	// Lead waits until the caller leads under name, or ctx ends. While there
	// is a leader there is a record under LeaderPrefix + name.
	Lead(ctx context.Context, name string) (Term, error)

	// Close ends all watches and terms. All other calls then return
	// ErrClosed, and a second Close nil.
	Close() error
}

// An Event is one changed record.
type Event struct {
	Record // of a deletion: the key and the revision that deleted it
	Gone   bool
}

// A Watch is a running watch.
type Watch interface {
	// Next waits for further events and returns at least one: all those of
	// one or more whole commits. The caller may keep and change them. It
	// returns ErrCompacted if the reader has fallen behind what is kept, and
	// the watch is over then.
	Next(ctx context.Context) ([]Event, error)
	// Close ends the watch; Next then returns ErrClosed.
	Close()
}

// A Term is one caller's time as leader.
type Term interface {
	// Number grows with each term under the name, across restarts, and is
	// never 0.
	Number() uint64
	// Check is an op that fails the commit unless the term still holds. Every
	// commit that a leader makes as leader carries it.
	Check() Op
	// Lost is closed when the term is known to be over: by Resign, or because
	// the store has been closed or can no longer be written.
	Lost() <-chan struct{}
	// Resign ends the term, also when it returns an error, which says only
	// that the leader record could not be removed; the next term replaces it.
	// Resigning from a term that is over returns nil.
	Resign(ctx context.Context) error
}
