package dhcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// Waits between tries: 0.25–0.5 s after the first, because a NIC that has just
// come up may drop a frame, then twice as long each time, at most 64 s.
const (
	firstResend = 500 * time.Millisecond
	maxResend   = 64 * time.Second
	// patience is how long silence is ordinary: dnsmasq may probe an address
	// for 3 s before it offers it.
	patience = 5 * time.Second
)

// A session is one conversation with servers. It opens its socket with the
// first message and again when it breaks; close it at the end.
type session struct {
	opts    *Options
	started time.Time
	// trouble is told what goes wrong while the session tries on.
	trouble func(error)

	conn    Conn
	replies chan reply
	quit    chan struct{}
	reader  sync.WaitGroup
}

// A reply is a message for us, or the error that ended the reading.
type reply struct {
	*dhcpv4.DHCPv4
	via nic.MAC
	err error
}

// A question is a message and what to do with the answers to it.
type question struct {
	message *dhcpv4.DHCPv4
	path    Path
	// until is when to give up; zero for never.
	until time.Time
	// accept looks at an answer. done ends the question with err; otherwise
	// err, if any, is noted and the next answer awaited. sent is when the
	// message last left.
	accept func(r reply, sent time.Time) (done bool, err error)
}

// ask sends the question again and again until an answer is accepted, its time
// is over (ErrNoAnswer) or ctx ends (its error).
func (s *session) ask(ctx context.Context, q question) error {
	if !q.until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, q.until, ErrNoAnswer)
		defer cancel()
	}
	backoff := retry.Backoff{First: firstResend, Max: maxResend}
	for {
		sent := time.Now()
		if err := s.send(q); err != nil {
			s.close()
			s.trouble(err)
		}
		done, err := s.await(ctx, q, sent, backoff.Next())
		if done {
			return err
		}
		if time.Since(s.started) > patience {
			s.trouble(ErrNoAnswer)
		}
	}
}

func (s *session) send(q question) error {
	if err := s.open(); err != nil {
		return err
	}
	q.message.NumSeconds = elapsed(s.started)
	return s.conn.Send(q.message.ToBytes(), q.path)
}

// await looks at answers for d.
func (s *session) await(ctx context.Context, q question, sent time.Time, d time.Duration) (done bool, err error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return true, context.Cause(ctx)
		case <-timer.C:
			return false, nil
		case r := <-s.replies:
			if r.err != nil {
				s.close() // the next try opens a new socket
				s.trouble(r.err)
				continue
			}
			if !s.isAnswer(r, q) {
				continue
			}
			done, err := q.accept(r, sent)
			if done {
				return true, err
			}
			if err != nil {
				s.trouble(err)
			}
		}
	}
}

func (s *session) isAnswer(r reply, q question) bool {
	return r.OpCode == dhcpv4.OpcodeBootReply && r.TransactionID == q.message.TransactionID &&
		bytes.Equal(r.ClientHWAddr, s.opts.MAC.Hardware())
}

// open opens the socket and starts its reader, unless it is open.
func (s *session) open() error {
	if s.conn != nil {
		return nil
	}
	conn, err := s.opts.Listen()
	if err != nil {
		return fmt.Errorf("listen for DHCP: %w", err)
	}
	s.conn, s.replies, s.quit = conn, make(chan reply), make(chan struct{})
	replies, quit := s.replies, s.quit
	s.reader.Go(func() { read(conn, replies, quit) })
	return nil
}

// close ends the reader and the socket. It may be called twice.
func (s *session) close() {
	if s.conn == nil {
		return
	}
	close(s.quit)
	s.conn.Close() // nothing is lost with it
	s.reader.Wait()
	s.conn, s.replies = nil, nil
}

// read hands on what arrives, until the socket breaks or quit closes. Bytes
// that are no DHCP message are dropped.
func read(conn Conn, replies chan<- reply, quit <-chan struct{}) {
	buf := make([]byte, maxMessage)
	for {
		n, via, err := conn.Receive(buf)
		r := reply{via: via, err: err}
		if err == nil {
			if r.DHCPv4, err = dhcpv4.FromBytes(bytes.Clone(buf[:n])); err != nil {
				continue
			}
		}
		select {
		case replies <- r:
		case <-quit:
			return
		}
		if r.err != nil {
			return
		}
	}
}

// lease reads the lease out of an OFFER or ACK.
func (r reply) lease(sent time.Time) (Lease, error) {
	lease, err := ParseACK(r.DHCPv4, sent)
	lease.Via = r.via
	return lease, err
}

// refusal is the error of a NAK. Its text is the server's, so it is quoted.
func (r reply) refusal() error {
	who, _ := toAddr(r.ServerIdentifier())
	if text := r.Message(); text != "" {
		return fmt.Errorf("DHCP server %s: %w: %.80q", who, ErrRefused, text)
	}
	return fmt.Errorf("DHCP server %s: %w", who, ErrRefused)
}

// isFrom says whether the answer names that lease's server.
func (r reply) isFrom(l Lease) bool {
	who, ok := toAddr(r.ServerIdentifier())
	return ok && who == l.Server
}

// What State.Err may be, by errors.Is.
var (
	// ErrNoAnswer: no server has answered.
	ErrNoAnswer = errors.New("no DHCP server answers")
	// ErrRefused: a server took the lease away (NAK).
	ErrRefused = errors.New("address refused")
)
