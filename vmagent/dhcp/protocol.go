package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/nicferry/nicferry/vmagent/lease"
)

// Times that a server is given.
const (
	// requestTime is how long a server that made an offer is asked to confirm it.
	requestTime = 10 * time.Second
	// verifyTime is how long servers are asked about a lease of before a restart.
	verifyTime = 4 * time.Second
	// lastTime is how long they are asked about an address that was the client's at
	// another place: nothing is used meanwhile.
	lastTime = time.Second
)

// A protocol holds the conversations of RFC 2131.
type protocol struct {
	opts  *Options
	lines *lease.Lines
}

func newProtocol(o *Options) protocol { return protocol{o, new(lease.Lines)} }

// Wait returns when the sockets of earlier conversations are closed.
func (p protocol) Wait() { p.lines.Wait() }

// Acquire finds a server that gives a lease, with or without rapid commit.
func (p protocol) Acquire(ctx context.Context, trouble func(error), last Lease) (Lease, error) {
	s := p.session(trouble)
	defer s.Close()
	xid := newXID()
	var lease Lease
	committed := false
	err := s.ask(ctx, question{
		message: p.opts.discover(xid, last.Addr.Addr()),
		path:    toAnyServer(noAddr),
		eager:   true,
		accept: func(r reply, sent time.Time) (bool, error) {
			kind := r.MessageType()
			committed = kind == dhcpv4.MessageTypeAck && r.Options.Has(dhcpv4.OptionRapidCommit)
			if kind != dhcpv4.MessageTypeOffer && !committed {
				return false, nil
			}
			var err error
			lease, err = s.lease(r, sent)
			return err == nil, err // another server may do better
		},
	})
	if err != nil || committed {
		return lease, err
	}
	return s.confirm(ctx, xid, lease)
}

// confirm takes an offer.
func (s *session) confirm(ctx context.Context, xid dhcpv4.TransactionID, offer Lease) (Lease, error) {
	lease, err := s.askFor(ctx, offer, question{
		message: s.opts.take(xid, offer),
		path:    toAnyServer(noAddr),
		until:   time.Now().Add(requestTime),
	}, func(r reply) bool { return r.isFrom(offer) })
	if err != nil {
		return Lease{}, fmt.Errorf("confirm %s at %s: %w", offer.Addr, offer.Server, err)
	}
	return lease, nil
}

// Verify is INIT-REBOOT: any server on the link may confirm the lease, or say
// that it does not belong there.
func (p protocol) Verify(ctx context.Context, trouble func(error), was Lease) (Lease, error) {
	s := p.session(trouble)
	defer s.Close()
	lease, err := s.askFor(ctx, was, question{
		message: p.opts.reboot(newXID(), was),
		path:    toAnyServer(noAddr),
		until:   verifyUntil(was),
		eager:   true,
	}, fromAnybody)
	if err != nil {
		return Lease{}, fmt.Errorf("verify %s: %w", was.Addr, err)
	}
	return lease, nil
}

// verifyUntil leaves no time for a lease to run out unnoticed.
func verifyUntil(was Lease) time.Time {
	if !was.Server.IsValid() {
		return time.Now().Add(lastTime)
	}
	until := time.Now().Add(verifyTime)
	if was.Usable(time.Now()) && was.Expires.Before(until) {
		return was.Expires
	}
	return until
}

// Extend prolongs a lease at its server until T2, then at any server until it
// expires.
func (p protocol) Extend(ctx context.Context, trouble func(error), was Lease) (Lease, error) {
	s := p.session(trouble)
	defer s.Close()
	message := p.opts.extend(newXID(), was)
	if time.Now().Before(was.T2) {
		next, err := s.askFor(ctx, was, question{message: message, path: was.toServer(), until: was.T2}, func(r reply) bool {
			return r.MessageType() == dhcpv4.MessageTypeAck || r.isFrom(was)
		})
		if !errors.Is(err, lease.ErrNoAnswer) {
			return next, err
		}
		message.TransactionID = newXID()
	}
	next, err := s.askFor(ctx, was, question{message: message, path: toAnyServer(was.Addr.Addr()), until: was.Expires}, fromAnybody)
	if err != nil {
		return Lease{}, fmt.Errorf("renew %s of %s: %w", was.Addr, was.Server, err)
	}
	return next, nil
}

// Decline tells the server that another host has the address. No server
// answers it.
func (p protocol) Decline(_ context.Context, l Lease, why string) error {
	return p.tell(p.opts.decline(l, why), toAnyServer(noAddr))
}

// Release tells the server that the address is free. No server answers it.
func (p protocol) Release(_ context.Context, l Lease) error {
	if err := p.tell(p.opts.giveBack(l), l.toServer()); err != nil {
		return fmt.Errorf("release %s: %w", l.Addr, err)
	}
	return nil
}

// tell sends a message once.
func (p protocol) tell(m *dhcpv4.DHCPv4, path Path) error {
	conn, err := p.opts.Listen()
	if err != nil {
		return err
	}
	return errors.Join(conn.Send(m.ToBytes(), path), conn.Close())
}

func fromAnybody(reply) bool { return true }

// askFor asks for a certain lease. hear leaves out answers that have no say.
func (s *session) askFor(ctx context.Context, want Lease, q question, hear func(reply) bool) (got Lease, err error) {
	q.accept = func(r reply, sent time.Time) (done bool, err error) {
		if !hear(r) {
			return false, nil
		}
		got, done, err = s.sameAddr(r, sent, want.Addr.Addr())
		return done, err
	}
	err = s.ask(ctx, q)
	return got, err
}

// sameAddr reads an ACK for the address that was asked for, or a NAK, which is
// done with ErrRefused. An ACK for another address breaks the protocol: it is
// passed over, because an address in use must not change under a container.
func (s *session) sameAddr(r reply, sent time.Time, want netip.Addr) (l Lease, done bool, err error) {
	switch r.MessageType() {
	case dhcpv4.MessageTypeNak:
		return Lease{}, true, r.refusal()
	case dhcpv4.MessageTypeAck:
	default:
		return Lease{}, false, nil
	}
	l, err = s.lease(r, sent)
	if err != nil {
		return Lease{}, false, err
	}
	if l.Addr.Addr() != want {
		return Lease{}, false, fmt.Errorf("DHCP server %s: gave %s when asked for %s", l.Server, l.Addr.Addr(), want)
	}
	return l, true, nil
}
