// Package relay joins who sends a stream with who takes it; nothing of it is
// stored.
package relay

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/api"
)

// maxOpen bounds how many streams there are at a time; each takes 128 KiB of memory
// while it runs.
const maxOpen = 256

// Options are the bounds of a Relay.
type Options struct {
	// Meet is how long one end waits for the other; default 30 s.
	Meet time.Duration
	// Silence is how long a sender may send nothing, not even a heartbeat; default
	// 30 s.
	Silence time.Duration
	// Stall is how long a taker may take nothing; default 2 min, for it may have
	// slow disks.
	Stall time.Duration
}

// A Relay is the controller's. It is migrate.Streams, and what the API serves to
// agents. What is sent is passed on as it comes: the two ends see to it that it is
// whole. All methods may be called concurrently.
type Relay struct {
	opts Options

	mu      sync.Mutex
	streams map[string]*stream
}

// New makes a Relay. It starts nothing.
func New(opts Options) *Relay {
	opts.Meet = cmp.Or(opts.Meet, 30*time.Second)
	opts.Silence = cmp.Or(opts.Silence, 30*time.Second)
	opts.Stall = cmp.Or(opts.Stall, 2*time.Minute)
	return &Relay{opts: opts, streams: map[string]*stream{}}
}

// Open is that of migrate.Streams. Beyond 256 streams at a time the new one is
// dead: its ends are told that it is not open.
func (r *Relay) Open(from, to string) (name string, end func()) {
	var b [16]byte
	rand.Read(b[:]) // never returns an error since Go 1.24
	name = "str-" + hex.EncodeToString(b[:])
	s := newStream(r.opts, from, to)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.streams) < maxOpen {
		r.streams[name] = s
	}
	return name, func() {
		r.mu.Lock()
		delete(r.streams, name)
		r.mu.Unlock()
		s.fail("the controller has ended it")
	}
}

// Send gives what from has to the node that takes the stream, and returns when
// that has all of it, or with what broke the stream. It is an *api.Error: not found
// for a stream that the node is not to send, conflict for the second time. If from
// has a SetReadDeadline, it is used to end a Read that waits; otherwise Send
// returns only after it.
func (r *Relay) Send(ctx context.Context, name, node string, from io.Reader) error {
	s, err := r.enter(name, node, func(s *stream) (string, chan struct{}) { return s.from, s.sender })
	if err != nil {
		return err
	}
	return s.send(ctx, from)
}

// Take writes to to what the node sends that the stream comes from, and returns
// when that is all, or with what broke the stream: what was written then is not
// the whole. Errors are as those of Send. If to has a SetWriteDeadline, it is used
// to end a Write that waits.
func (r *Relay) Take(ctx context.Context, name, node string, to io.Writer) error {
	s, err := r.enter(name, node, func(s *stream) (string, chan struct{}) { return s.to, s.taker })
	if err != nil {
		return err
	}
	return s.take(ctx, to)
}

// enter finds a stream for the node that may use one end of it, once.
func (r *Relay) enter(name, node string, end func(*stream) (node string, came chan struct{})) (*stream, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.streams[name]
	if s == nil {
		return nil, notOpen(name, node)
	}
	whose, came := end(s)
	if whose != node {
		return nil, notOpen(name, node)
	}
	select {
	case <-came:
		return nil, &api.Error{Code: api.CodeConflict, Message: fmt.Sprintf("node %s has been at stream %s already; each end is used once", node, name)}
	default:
		close(came)
		return s, nil
	}
}

// notOpen does not tell what is another's from what is not there.
func notOpen(name, node string) error {
	return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("no stream %.80q is open for node %.80q; the controller may have started anew, or have too many", name, node)}
}
