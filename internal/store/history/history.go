// Package history keeps a store's latest commits for its watches.
package history

import (
	"fmt"
	"sort"
	"sync"

	"github.com/nicferry/nicferry/internal/store"
)

const (
	// DefaultKeep is how many commits a store keeps if it is not told.
	DefaultKeep = 4096
	// maxBytes bounds the memory that large values can take, whatever the
	// number of commits.
	maxBytes = 64 << 20
	// eventOverhead is roughly what an event takes besides key and value.
	eventOverhead = 64
)

// A Log is the latest commits of one store. Its methods may be called
// concurrently; no reader ever holds up Append for longer than a look.
type Log struct {
	keep int

	mu      sync.Mutex
	floor   store.Rev // everything up to here has been dropped
	commits []commit  // by revision, all newer than floor
	bytes   int
	grown   chan struct{} // closed, and replaced, when commits are appended
	closed  chan struct{}
}

type commit struct {
	rev    store.Rev
	events []store.Event
	bytes  int
}

// New returns the log of a store that is at revision now, so that a watch can
// begin there or later. It keeps the latest keep commits (0: DefaultKeep).
func New(now store.Rev, keep int) *Log {
	if keep <= 0 {
		keep = DefaultKeep
	}
	return &Log{keep: keep, floor: now, grown: make(chan struct{}), closed: make(chan struct{})}
}

// Append adds commits in order, each with at least one event and newer than the one
// before: none is left out, though revisions may be. The log keeps the events; nobody
// may change them.
func (l *Log) Append(commits ...[]store.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, events := range commits {
		c := commit{rev: events[0].Rev, events: events}
		for _, e := range events {
			c.bytes += len(e.Key) + len(e.Value) + eventOverhead
		}
		l.bytes += c.bytes
		l.commits = append(l.commits, c)
	}
	drop, dropped := 0, 0
	for n := len(l.commits); n-drop > l.keep || (l.bytes-dropped > maxBytes && n-drop > 1); drop++ {
		dropped += l.commits[drop].bytes
	}
	if drop > 0 {
		l.floor = l.commits[drop-1].rev
	}
	clear(l.commits[:drop]) // so that the array does not keep the values
	l.commits, l.bytes = l.commits[drop:], l.bytes-dropped
	l.wake()
}

// Restart forgets all commits up to revision now, some of which the log may never have
// been told of: who has not read up to there has fallen behind.
func (l *Log) Restart(now store.Rev) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.floor, l.commits, l.bytes = now, nil, 0
	l.wake()
}

// wake tells all who wait to look again. The caller holds the lock.
func (l *Log) wake() {
	close(l.grown)
	l.grown = make(chan struct{})
}

// after is how many of the commits are not newer than rev. The caller holds the lock.
func (l *Log) after(rev store.Rev) int {
	return sort.Search(len(l.commits), func(i int) bool { return l.commits[i].rev > rev })
}

// Watch begins a watch of all events newer than from whose key has the prefix,
// in a store that has reached revision now. The log may not have been told of
// the latest commits up to now yet.
func (l *Log) Watch(prefix string, from, now store.Rev) (*Watch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if isClosed(l.closed) {
		return nil, store.ErrClosed
	}
	if from < l.floor {
		return nil, fmt.Errorf("watch %q from revision %d, kept from %d: %w", prefix, from, l.floor, store.ErrCompacted)
	}
	if from > now {
		return nil, fmt.Errorf("watch %q from revision %d of a store at %d: %w", prefix, from, now, store.ErrCompacted)
	}
	return &Watch{log: l, prefix: prefix, at: from, closed: make(chan struct{})}, nil
}

// Close ends all watches. It may be called again.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !isClosed(l.closed) {
		close(l.closed)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
