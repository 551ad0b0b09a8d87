package dhcp6

import (
	"bytes"
	"context"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/nicferry/nicferry/vmagent/lease"
)

// A session is one conversation with servers; close it at the end.
type session struct {
	*lease.Session[*dhcpv6.Message, *dhcpv6.Message]
	opts *Options
}

func (p protocol) session(trouble func(error)) *session {
	return &session{opts: p.opts, Session: &lease.Session[*dhcpv6.Message, *dhcpv6.Message]{
		Lines:   p.lines,
		Trouble: trouble,
		Open: func() (lease.Line[*dhcpv6.Message, *dhcpv6.Message], error) {
			conn, err := p.opts.Listen()
			if err != nil {
				return nil, err
			}
			return &line{Conn: conn, buf: make([]byte, maxMessage)}, nil
		},
	}}
}

// A line reads and writes messages on a Conn.
type line struct {
	Conn
	buf []byte // of Hear
}

// Send fills in how long it has taken.
func (l *line) Send(m *dhcpv6.Message, elapsed time.Duration) error {
	m.Options.Update(elapsedTime(elapsed))
	return l.Conn.Send(m.ToBytes())
}

// Hear drops bytes that are no DHCPv6 message.
func (l *line) Hear() (*dhcpv6.Message, error) {
	for {
		n, err := l.Receive(l.buf)
		if err != nil {
			return nil, err
		}
		if m, err := decode(l.buf[:n]); err == nil {
			return m, nil
		}
	}
}

// ask asks, and lets through only answers to this question; see lease.Question.
func (s *session) ask(ctx context.Context, message *dhcpv6.Message, until time.Time, accept func(m *dhcpv6.Message, sent time.Time) (bool, error)) error {
	return s.Ask(ctx, lease.Question[*dhcpv6.Message, *dhcpv6.Message]{
		Message: message,
		Until:   until,
		Accept: func(m *dhcpv6.Message, sent time.Time) (bool, error) {
			client := m.Options.ClientID()
			if m.TransactionID != message.TransactionID || client == nil || !bytes.Equal(client.ToBytes(), s.opts.DUID) {
				return false, nil
			}
			return accept(m, sent)
		},
	})
}

// isFrom says whether the answer names that lease's server.
func isFrom(m *dhcpv6.Message, l Lease) bool {
	id := m.Options.ServerID()
	return id != nil && bytes.Equal(id.ToBytes(), l.Server)
}
