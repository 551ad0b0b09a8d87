package lease

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// Waits between tries: 0.25–0.5 s after the first, because a NIC that has just
// come up may drop a frame, then twice as long each time, at most 64 s.
const (
	firstResend = 500 * time.Millisecond
	maxResend   = 64 * time.Second
	// patience is how long silence is ordinary: dnsmasq may probe an address
	// for 3 s before it offers it, and the kernel a link-local one for 2 s.
	patience = 5 * time.Second
	// eagerResend is 20–40 ms: longer than a server of the same site takes.
	eagerResend = 40 * time.Millisecond
	// readyLook is how often a link is looked at that is not ready yet.
	readyLook = 100 * time.Millisecond
)

// A Line is an open socket to the servers of a link. Hear and Send may be
// called from different goroutines; Close ends a waiting Hear.
type Line[M, A any] interface {
	// Send sends a message; elapsed is how long the client has been at it.
	Send(message M, elapsed time.Duration) error
	// Hear waits for the next answer. What is none is passed over.
	Hear() (A, error)
	Close() error
}

// Lines are those of one keeper's conversations that are being closed. What a
// server has said is not kept waiting for that: the kernel takes its time to
// close a socket. The zero value is ready for use by one goroutine.
type Lines struct{ closing sync.WaitGroup }

// Wait returns when all are closed.
func (l *Lines) Wait() { l.closing.Wait() }

// A Session is one conversation with servers, by messages M and answers A. It
// opens its line with the first message and again when it breaks; close it at
// the end.
type Session[M, A any] struct {
	// Lines closes the line in the background. Required.
	Lines *Lines
	// Open opens the line. With ErrNotReady it is soon asked again. Required.
	Open func() (Line[M, A], error)
	// Trouble is told what goes wrong while the session tries on. Required.
	Trouble func(error)

	started time.Time
	line    Line[M, A]
	heard   chan heard[A]
	quit    chan struct{}
	reader  *sync.WaitGroup
}

// heard is an answer, or the error that ended the reading.
type heard[A any] struct {
	answer A
	err    error
}

// A Question is a message and what to do with the answers to it.
type Question[M, A any] struct {
	Message M
	// Until is when to give up; zero for never.
	Until time.Time
	// Eager: the link may have come up a moment ago, and the switch or the
	// kernel have dropped the first message. It is soon sent once more.
	Eager bool
	// Accept looks at an answer. done ends the question with err; otherwise
	// err, if any, is noted and the next answer awaited. sent is when the
	// message last left.
	Accept func(answer A, sent time.Time) (done bool, err error)
}

// Ask sends the question again and again until an answer is accepted, its time
// is over (ErrNoAnswer) or ctx ends (its error).
func (s *Session[M, A]) Ask(ctx context.Context, q Question[M, A]) error {
	if s.started.IsZero() {
		s.started = time.Now()
	}
	if !q.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, q.Until, ErrNoAnswer)
		defer cancel()
	}
	backoff := retry.Backoff{First: firstResend, Max: maxResend}
	eager := q.Eager
	for {
		sent := time.Now()
		err := s.send(q.Message)
		early := errors.Is(err, ErrNotReady) && time.Since(s.started) < patience
		pause := readyLook
		switch {
		case early:
		case eager && err == nil:
			eager, pause = false, eagerResend/2+rand.N(eagerResend/2)
		default:
			pause = backoff.Next()
		}
		if err != nil && !early {
			s.hangUp()()
			s.Trouble(err)
		}
		if done, err := s.await(ctx, q, sent, pause); done {
			return err
		}
		if err == nil && time.Since(s.started) > patience {
			s.Trouble(ErrNoAnswer)
		}
	}
}

func (s *Session[M, A]) send(message M) error {
	if s.line == nil {
		s.Lines.Wait() // so that a keeper has no more than one
		line, err := s.Open()
		if err != nil {
			return fmt.Errorf("listen for DHCP: %w", err)
		}
		s.line, s.heard, s.quit, s.reader = line, make(chan heard[A]), make(chan struct{}), new(sync.WaitGroup)
		heard, quit := s.heard, s.quit
		s.reader.Go(func() { read(line, heard, quit) })
	}
	return s.line.Send(message, time.Since(s.started))
}

// await looks at answers for d.
func (s *Session[M, A]) await(ctx context.Context, q Question[M, A], sent time.Time, d time.Duration) (done bool, err error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return true, context.Cause(ctx)
		case <-timer.C:
			return false, nil
		case h := <-s.heard:
			if h.err != nil {
				s.hangUp()() // the next try opens a new line
				s.Trouble(h.err)
				continue
			}
			done, err := q.Accept(h.answer, sent)
			if done {
				return true, err
			}
			if err != nil {
				s.Trouble(err)
			}
		}
	}
}

// Close ends the conversation and does not wait for its line to be closed, as
// Lines.Wait does. It may be called twice.
func (s *Session[M, A]) Close() {
	if s.line != nil {
		s.Lines.closing.Go(s.hangUp())
	}
}

// hangUp ends the talk, and returns what ends the reader and the line.
func (s *Session[M, A]) hangUp() (end func()) {
	line, reader := s.line, s.reader
	if line == nil {
		return func() {}
	}
	close(s.quit)
	s.line, s.heard, s.reader = nil, nil, nil
	return func() {
		line.Close() // nothing is lost with it
		reader.Wait()
	}
}

// read hands on what arrives, until the line breaks or quit closes.
func read[M, A any](line Line[M, A], out chan<- heard[A], quit <-chan struct{}) {
	for {
		var h heard[A]
		h.answer, h.err = line.Hear()
		select {
		case out <- h:
		case <-quit:
			return
		}
		if h.err != nil {
			return
		}
	}
}
