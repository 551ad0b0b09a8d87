package dhcp

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/lease"
)

// A session is one conversation with servers; close it at the end.
type session struct {
	*lease.Session[letter, reply]
	opts *Options
}

func (p protocol) session(trouble func(error)) *session {
	return &session{opts: p.opts, Session: &lease.Session[letter, reply]{
		Lines:   p.lines,
		Trouble: trouble,
		Open: func() (lease.Line[letter, reply], error) {
			conn, err := p.opts.Listen()
			if err != nil {
				return nil, err
			}
			return &line{Conn: conn, buf: make([]byte, maxMessage)}, nil
		},
	}}
}

// A letter is a message and how it travels.
type letter struct {
	message *dhcpv4.DHCPv4
	path    Path
}

// A reply is a message and the neighbour that it came through.
type reply struct {
	*dhcpv4.DHCPv4
	via nic.MAC
}

// A line reads and writes messages on a Conn.
type line struct {
	Conn
	buf []byte // of Hear
}

// Send fills in how long it has taken.
func (l *line) Send(m letter, elapsed time.Duration) error {
	m.message.NumSeconds = seconds16(elapsed)
	return l.Conn.Send(m.message.ToBytes(), m.path)
}

// Hear drops bytes that are no DHCP message.
func (l *line) Hear() (reply, error) {
	for {
		n, via, err := l.Receive(l.buf)
		if err != nil {
			return reply{}, err
		}
		if m, err := dhcpv4.FromBytes(bytes.Clone(l.buf[:n])); err == nil {
			return reply{DHCPv4: m, via: via}, nil
		}
	}
}

// A question is a message and what to do with the answers to it; see
// lease.Question.
type question struct {
	message *dhcpv4.DHCPv4
	path    Path
	until   time.Time
	eager   bool
	accept  func(r reply, sent time.Time) (done bool, err error)
}

// ask asks, and lets through only answers to this question.
func (s *session) ask(ctx context.Context, q question) error {
	return s.Ask(ctx, lease.Question[letter, reply]{
		Message: letter{q.message, q.path},
		Until:   q.until,
		Eager:   q.eager,
		Accept: func(r reply, sent time.Time) (bool, error) {
			if r.OpCode != dhcpv4.OpcodeBootReply || r.TransactionID != q.message.TransactionID ||
				!bytes.Equal(r.ClientHWAddr, s.opts.MAC.Hardware()) {
				return false, nil
			}
			return q.accept(r, sent)
		},
	})
}

// lease reads the lease out of an OFFER or ACK.
func (s *session) lease(r reply, sent time.Time) (Lease, error) {
	l, err := ParseACK(r.DHCPv4, sent, s.opts.Routes)
	l.Via = r.via
	return l, err
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
