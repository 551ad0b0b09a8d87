package server

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// What one node may have under way, its watches and the calls that wait for their
// turn included. More than its rate lets through matter only where answers are
// slow, or never read.
const (
	maxUnderWay = maxWaiting + placesOfOne + 32
	// maxLoad is for bodies, in bytes, which take many times as much memory once
	// they are read.
	maxLoad = maxReport + maxBody
)

// A load is what of one node's calls is under way.
type load struct {
	mu    sync.Mutex
	calls int
	bytes int64
}

// take notes a call with a body of that many bytes, until done is called. ok is
// false where it would be too much.
func (l *load) take(size int64) (done func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls >= maxUnderWay || l.bytes+size > maxLoad {
		return nil, false
	}
	l.calls++
	l.bytes += size
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.calls--
		l.bytes -= size
	}, true
}

// begin notes a call before its body is read, of which most bytes are at most;
// done is to be called after it. People's calls are not counted.
func (s *server) begin(ctx context.Context, r *http.Request, most int64) (done func(), err error) {
	tenant, node := s.from(ctx)
	if node == "" {
		return func() {}, nil
	}
	size := r.ContentLength
	if size < 0 || size > most { // of unknown length; no more than most is read
		size = most
	}
	l := s.limits.node(node)
	done, ok := l.load.take(size)
	if !ok {
		return nil, s.tooMuch(ctx, &l.limit, "node has more calls under way than it may", tenant, node,
			fmt.Sprintf("node %s has more calls under way than it may, or larger ones", node))
	}
	return done, nil
}
