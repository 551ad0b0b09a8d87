package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/api"
)

// chunkSize is how much of a stream is read at a time, in bytes. There are two of
// them: one is filled while the other is emptied.
const chunkSize = 64 << 10

// A stream goes from one node to another. Its two ends run in the calls of those
// who hold them, so that nothing is left when they return.
type stream struct {
	opts     Options
	from, to string        // nodes
	sender   chan struct{} // closed when that end has come
	taker    chan struct{}
	chunks   chan []byte   // handed over; closed at the end
	whole    chan struct{} // closed when all is taken
	broken   chan struct{} // closed with why

	mu         sync.Mutex
	why        error
	bytes      int64 // taken
	interrupts map[*stop]struct{}
}

// A stop ends a Read or Write that waits.
type stop struct{ now func() }

func newStream(opts Options, from, to string) *stream {
	return &stream{
		opts: opts, from: from, to: to, sender: make(chan struct{}), taker: make(chan struct{}),
		chunks: make(chan []byte), whole: make(chan struct{}), broken: make(chan struct{}), interrupts: map[*stop]struct{}{},
	}
}

// send is the sender's end.
func (s *stream) send(ctx context.Context, from io.Reader) error {
	defer s.guard(ctx, fmt.Sprintf("node %s, which sends,", s.from), readStop(from))()
	if err := s.meet(s.taker, s.to); err != nil {
		return err
	}
	stalled := time.NewTimer(s.opts.Stall)
	defer stalled.Stop()
	buffers := [2][]byte{make([]byte, chunkSize), make([]byte, chunkSize)}
	for i := 0; ; i = 1 - i { // what was handed over is done with once the next is taken
		n, err := from.Read(buffers[i])
		if n > 0 {
			stalled.Reset(s.opts.Stall)
			select {
			case s.chunks <- buffers[i][:n]:
			case <-s.broken:
				return s.why
			case <-stalled.C:
				return s.stalled()
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return s.fail("node %s, which sends, is gone: %v", s.from, err)
		}
	}
	close(s.chunks)
	stalled.Reset(s.opts.Stall)
	select {
	case <-s.whole:
		return nil
	case <-s.broken:
		return s.unlessWhole()
	case <-stalled.C:
		return s.stalled()
	}
}

// take is the taker's end.
func (s *stream) take(ctx context.Context, to io.Writer) error {
	defer s.guard(ctx, fmt.Sprintf("node %s, which takes,", s.to), writeStop(to))()
	if err := s.meet(s.sender, s.from); err != nil {
		return err
	}
	silent := time.NewTimer(s.opts.Silence)
	defer silent.Stop()
	for {
		silent.Reset(s.opts.Silence)
		select {
		case chunk, more := <-s.chunks:
			if !more {
				close(s.whole)
				return nil
			}
			if _, err := to.Write(chunk); err != nil {
				return s.fail("node %s, which takes, is gone: %v", s.to, err)
			}
			s.mu.Lock()
			s.bytes += int64(len(chunk))
			s.mu.Unlock()
		case <-s.broken:
			return s.why
		case <-silent.C:
			return s.fail("node %s sent nothing for %s", s.from, s.opts.Silence)
		}
	}
}

// meet waits for the other end.
func (s *stream) meet(other chan struct{}, node string) error {
	late := time.NewTimer(s.opts.Meet)
	defer late.Stop()
	select {
	case <-other:
		return nil
	case <-s.broken:
		return s.why
	case <-late.C:
		return s.fail("node %s did not come to its end within %s", node, s.opts.Meet)
	}
}

func (s *stream) stalled() error {
	return s.fail("node %s took nothing for %s", s.to, s.opts.Stall)
}

// fail breaks the stream for both ends, and returns what did so first.
func (s *stream) fail(format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != nil {
		return s.why
	}
	s.why = &api.Error{
		Code:    api.CodeUnavailable,
		Message: fmt.Sprintf("the stream from node %s to node %s broke after %d bytes: %s", s.from, s.to, s.bytes, fmt.Sprintf(format, args...)),
	}
	close(s.broken)
	for i := range s.interrupts {
		i.now()
	}
	return s.why
}

// unlessWhole is why the stream broke, if it did before all was taken.
func (s *stream) unlessWhole() error {
	select {
	case <-s.whole:
		return nil
	default:
		return s.why
	}
}

// guard breaks the stream when ctx ends, and stops what waits when it breaks,
// until the end is done with.
func (s *stream) guard(ctx context.Context, who string, now func()) (done func()) {
	end := context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			s.fail("%s was cut off: %v", who, cause)
			return
		}
		s.fail("%s hung up", who)
	})
	i := &stop{now}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupts[i] = struct{}{}
	if s.why != nil {
		now()
	}
	return func() {
		end()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.interrupts, i)
	}
}

// readStop is what ends a Read that waits, if there is such a thing.
func readStop(from io.Reader) func() {
	if d, ok := from.(interface{ SetReadDeadline(time.Time) error }); ok {
		return func() { _ = d.SetReadDeadline(time.Unix(1, 0)) } // without one Read returns by itself
	}
	return func() {}
}

func writeStop(to io.Writer) func() {
	if d, ok := to.(interface{ SetWriteDeadline(time.Time) error }); ok {
		return func() { _ = d.SetWriteDeadline(time.Unix(1, 0)) }
	}
	return func() {}
}
