// Package store keeps records with revisions: one contract, with a durable
// implementation in one file (boltstore) and one in memory (memstore).
package store

import (
	"context"
	"errors"
)

// A Rev counts commits. It grows by one with each, over the whole store, and
// is kept across restarts. The revision of a record is that of the commit
// which last wrote it.
type Rev uint64

// The errors that callers branch on.
var (
	// ErrNotFound: no record under that key.
	ErrNotFound = errors.New("no such record")
	// ErrConflict: a record is not at the revision that the commit expects;
	// nothing was written. Read again and decide again.
	ErrConflict = errors.New("record changed meanwhile")
	// ErrCompacted: the watch asks for history that is no longer kept. List
	// again and watch from there.
	ErrCompacted = errors.New("history no longer kept")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store closed")
)

// A Record is one value under its key.
type Record struct {
	Key   string
	Value []byte
	Rev   Rev
}

// A Store keeps records. All methods may be called concurrently.
type Store interface {
	// Get returns ErrNotFound if there is none.
	Get(ctx context.Context, key string) (Record, error)

	// List returns up to limit records (0: all) whose key has the prefix and
	// sorts after the key after, in key order, and the store's revision that
	// the answer is true for.
	List(ctx context.Context, prefix, after string, limit int) ([]Record, Rev, error)

	// Commit carries out all ops or none. Before anything is written each
	// op's expectation is checked; if one fails it returns ErrConflict, and
	// the error names the key. When it returns nil the ops are durable. A key
	// may appear in one op only. The revision returned is the commit's.
	Commit(ctx context.Context, ops ...Op) (Rev, error)

	// Watch sends every change to keys with the prefix, in order and without
	// gaps, that is newer than from. It returns ErrCompacted if it cannot.
	Watch(ctx context.Context, prefix string, from Rev) (Watch, error)

	// Lead waits until the caller leads under name, or ctx ends.
	Lead(ctx context.Context, name string) (Term, error)

	// Close ends all watches and terms.
	Close() error
}

// An Op is one part of a commit. Make it with Create, Update, Delete or Check.
type Op struct {
	Kind   OpKind
	Key    string
	Value  []byte
	Expect Rev // 0: the record must not exist
}

// OpKind is what an Op does.
type OpKind int

// The kinds of op.
const (
	OpPut OpKind = iota + 1
	OpDelete
	OpCheck
)

// Create puts a record that must not exist yet.
func Create(key string, value []byte) Op { return Op{Kind: OpPut, Key: key, Value: value} }

// Update puts a record that must be at revision expect.
func Update(key string, value []byte, expect Rev) Op {
	return Op{Kind: OpPut, Key: key, Value: value, Expect: expect}
}

// Delete removes a record that must be at revision expect.
func Delete(key string, expect Rev) Op { return Op{Kind: OpDelete, Key: key, Expect: expect} }

// Check writes nothing and demands that a record is at revision expect, or
// with 0 that there is none.
func Check(key string, expect Rev) Op { return Op{Kind: OpCheck, Key: key, Expect: expect} }

// An Event is one changed record.
type Event struct {
	Record // of a deletion: the key and the revision that deleted it
	Gone   bool
}

// A Watch is a running watch.
type Watch interface {
	// Next waits for further events and returns at least one: all those of
	// one or more whole commits. It returns ErrCompacted if the reader has
	// fallen behind what is kept, and the watch is over then.
	Next(ctx context.Context) ([]Event, error)
	// Close ends the watch; Next then returns ErrClosed.
	Close()
}

// A Term is one caller's time as leader.
type Term interface {
	// Number grows with each term under the name, across restarts.
	Number() uint64
	// Check is an op that fails the commit unless the term still holds. Every
	// commit that a leader makes as leader carries it.
	Check() Op
	// Lost is closed when the term is known to be over.
	Lost() <-chan struct{}
	// Resign ends the term.
	Resign(ctx context.Context) error
}
