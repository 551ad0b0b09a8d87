package dhcp6

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/nicferry/nicferry/vmagent/lease"
)

// Times that a server is given.
const (
	// requestTime is how long a server that made an offer is asked to confirm it.
	requestTime = 10 * time.Second
	// verifyTime is how long servers are asked about a lease of before a restart.
	verifyTime = 4 * time.Second
	// tellTime is how long a server has to hear of an address given back.
	tellTime = 3 * time.Second
)

// A protocol holds the conversations of RFC 9915.
type protocol struct {
	opts  *Options
	lines *lease.Lines
}

func newProtocol(o *Options) protocol { return protocol{o, new(lease.Lines)} }

// Wait returns when the sockets of earlier conversations are closed.
func (p protocol) Wait() { p.lines.Wait() }

// Acquire finds a server that gives a lease, with or without rapid commit. The
// first that does is taken: to wait for a better one would cost a second.
func (p protocol) Acquire(ctx context.Context, trouble func(error), last Lease) (l Lease, err error) {
	s := p.session(trouble)
	defer s.Close()
	committed := false
	err = s.ask(ctx, p.opts.solicit(last.Addr.Addr()), time.Time{}, func(m *dhcpv6.Message, sent time.Time) (bool, error) {
		committed = m.MessageType == dhcpv6.MessageTypeReply && m.GetOneOption(dhcpv6.OptionRapidCommit) != nil
		if m.MessageType != dhcpv6.MessageTypeAdvertise && !committed {
			return false, nil
		}
		var err error
		l, err = ParseReply(m, p.opts.IAID, netip.Addr{}, sent)
		return err == nil, err // another server may do better
	})
	if err != nil || committed {
		return l, err
	}
	taken, err := s.askFor(ctx, p.opts.request(l), time.Now().Add(requestTime), l)
	if err != nil {
		return Lease{}, fmt.Errorf("request %s of %s: %w", l.Addr, l.Server, err)
	}
	return taken, nil
}

// Verify is CONFIRM: any server on the link may say whether the address belongs
// there. That adds no time to the lease, and an expired one is not asked about.
func (p protocol) Verify(ctx context.Context, trouble func(error), was Lease) (Lease, error) {
	now := time.Now()
	if !was.Usable(now) {
		return Lease{}, fmt.Errorf("confirm %s: expired: %w", was.Addr, ErrNoAnswer)
	}
	until := now.Add(verifyTime)
	if was.Expires.Before(until) {
		until = was.Expires
	}
	s := p.session(trouble)
	defer s.Close()
	err := s.ask(ctx, p.opts.confirm(was), until, func(m *dhcpv6.Message, _ time.Time) (bool, error) {
		if m.MessageType != dhcpv6.MessageTypeReply {
			return false, nil
		}
		err := statusError(m.Options.Status())
		return err == nil || errors.Is(err, ErrRefused), err
	})
	if err != nil {
		return Lease{}, fmt.Errorf("confirm %s: %w", was.Addr, err)
	}
	return was, nil
}

// Extend prolongs a lease at its server until T2, then at any server until it
// expires.
func (p protocol) Extend(ctx context.Context, trouble func(error), was Lease) (Lease, error) {
	s := p.session(trouble)
	defer s.Close()
	if time.Now().Before(was.T2) {
		next, err := s.askFor(ctx, p.opts.renew(was), was.T2, was)
		if !errors.Is(err, lease.ErrNoAnswer) {
			return next, err
		}
	}
	next, err := s.askFor(ctx, p.opts.rebind(was), was.Expires, was)
	if err != nil {
		return Lease{}, fmt.Errorf("renew %s of %s: %w", was.Addr, was.Server, err)
	}
	return next, nil
}

// Decline tells the server that another host has the address, and waits some
// seconds for its word. The protocol has no place for a reason.
func (p protocol) Decline(ctx context.Context, l Lease, _ string) error {
	return p.tell(ctx, p.opts.decline(l), l)
}

// Release tells the server that the address is free, and waits some seconds
// for its word.
func (p protocol) Release(ctx context.Context, l Lease) error {
	if err := p.tell(ctx, p.opts.release(l), l); err != nil {
		return fmt.Errorf("release %s: %w", l.Addr, err)
	}
	return nil
}

// tell repeats a message until the lease's server has heard it; what it
// thinks of it does not matter.
func (p protocol) tell(ctx context.Context, message *dhcpv6.Message, l Lease) error {
	var last error
	s := p.session(func(err error) { last = err })
	defer p.Wait()
	defer s.Close()
	err := s.ask(ctx, message, time.Now().Add(tellTime), func(m *dhcpv6.Message, _ time.Time) (bool, error) {
		return m.MessageType == dhcpv6.MessageTypeReply && isFrom(m, l), nil
	})
	if errors.Is(err, ErrNoAnswer) && last != nil {
		return last
	}
	return err
}

// askFor asks for a certain lease. A stranger may prolong it when all are
// asked, but only its own server may take it away. A REPLY about another
// address breaks the protocol: it is passed over, because an address in use
// must not change under a container.
func (s *session) askFor(ctx context.Context, message *dhcpv6.Message, until time.Time, want Lease) (got Lease, err error) {
	err = s.ask(ctx, message, until, func(m *dhcpv6.Message, sent time.Time) (done bool, err error) {
		if m.MessageType != dhcpv6.MessageTypeReply {
			return false, nil
		}
		if got, err = ParseReply(m, s.opts.IAID, want.Addr.Addr(), sent); err == nil {
			return true, nil
		}
		return errors.Is(err, ErrRefused) && isFrom(m, want), err
	})
	return got, err
}
