package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// requestTime is how long a server that made an offer is asked to confirm it.
const requestTime = 10 * time.Second

// acquire finds a server that gives a lease, with or without rapid commit. It
// waits for a first answer until ctx ends.
func (s *session) acquire(ctx context.Context, wish netip.Addr) (Lease, error) {
	xid := newXID()
	var lease Lease
	committed := false
	err := s.ask(ctx, question{
		message: s.opts.discover(xid, wish),
		path:    toAnyServer(noAddr),
		accept: func(r reply, sent time.Time) (bool, error) {
			kind := r.MessageType()
			committed = kind == dhcpv4.MessageTypeAck && r.Options.Has(dhcpv4.OptionRapidCommit)
			if kind != dhcpv4.MessageTypeOffer && !committed {
				return false, nil
			}
			var err error
			lease, err = r.lease(sent)
			return err == nil, err // another server may do better
		},
	})
	if err != nil || committed {
		return lease, err
	}
	return s.confirm(ctx, xid, lease)
}

// confirm takes an offer.
func (s *session) confirm(ctx context.Context, xid dhcpv4.TransactionID, offer Lease) (lease Lease, err error) {
	err = s.ask(ctx, question{
		message: s.opts.take(xid, offer),
		path:    toAnyServer(noAddr),
		until:   time.Now().Add(requestTime),
		accept: func(r reply, sent time.Time) (done bool, err error) {
			if !r.isFrom(offer) {
				return false, nil
			}
			lease, done, err = sameAddr(r, sent, offer)
			return done, err
		},
	})
	if err != nil {
		return Lease{}, fmt.Errorf("confirm %s at %s: %w", offer.Addr, offer.Server, err)
	}
	return lease, nil
}

// extend prolongs a lease at its server until T2, then at any server until it
// expires.
func (s *session) extend(ctx context.Context, lease Lease) (Lease, error) {
	if time.Now().Before(lease.T2) {
		next, err := s.prolong(ctx, lease, lease.toServer(), lease.T2, func(r reply) bool {
			return r.MessageType() == dhcpv4.MessageTypeAck || r.isFrom(lease)
		})
		if !errors.Is(err, ErrNoAnswer) {
			return next, err
		}
	}
	next, err := s.prolong(ctx, lease, toAnyServer(lease.Addr.Addr()), lease.Expires, func(reply) bool { return true })
	if err != nil {
		return Lease{}, fmt.Errorf("renew %s of %s: %w", lease.Addr, lease.Server, err)
	}
	return next, nil
}

// prolong asks for more time over one path. hear leaves out answers that have
// no say.
func (s *session) prolong(ctx context.Context, lease Lease, path Path, until time.Time, hear func(reply) bool) (next Lease, err error) {
	err = s.ask(ctx, question{
		message: s.opts.extend(newXID(), lease),
		path:    path,
		until:   until,
		accept: func(r reply, sent time.Time) (done bool, err error) {
			if !hear(r) {
				return false, nil
			}
			next, done, err = sameAddr(r, sent, lease)
			return done, err
		},
	})
	return next, err
}

// sameAddr reads an ACK for the address that was asked for, or a NAK, which is
// done with ErrRefused. An ACK for another address breaks the protocol: it is
// passed over, because an address in use must not change under a container.
func sameAddr(r reply, sent time.Time, want Lease) (lease Lease, done bool, err error) {
	switch r.MessageType() {
	case dhcpv4.MessageTypeNak:
		return Lease{}, true, r.refusal()
	case dhcpv4.MessageTypeAck:
	default:
		return Lease{}, false, nil
	}
	lease, err = r.lease(sent)
	if err != nil {
		return Lease{}, false, err
	}
	if lease.Addr.Addr() != want.Addr.Addr() {
		return Lease{}, false, fmt.Errorf("DHCP server %s: gave %s when asked for %s", lease.Server, lease.Addr.Addr(), want.Addr.Addr())
	}
	return lease, true, nil
}
