package dhcp6

import (
	"crypto/rand"
	"math"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// maxMessage is the size in bytes of the longest message that we take.
const maxMessage = 1500

// message is one with what every message has.
func (o *Options) message(kind dhcpv6.MessageType, options ...dhcpv6.Option) *dhcpv6.Message {
	m := &dhcpv6.Message{MessageType: kind}
	rand.Read(m.TransactionID[:]) // never returns an error since Go 1.24
	m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID, OptionData: o.DUID})
	for _, option := range options {
		m.AddOption(option)
	}
	return m
}

// asking is a message that an address may come back to.
func (o *Options) asking(kind dhcpv6.MessageType, options ...dhcpv6.Option) *dhcpv6.Message {
	m := o.message(kind, options...)
	m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList))
	return m
}

// solicit asks any server for an address, if possible wish, and allows it to
// commit at once.
func (o *Options) solicit(wish netip.Addr) *dhcpv6.Message {
	return o.asking(dhcpv6.MessageTypeSolicit, o.identity(wish), &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
}

// request accepts what a server advertised.
func (o *Options) request(offer Lease) *dhcpv6.Message {
	return o.asking(dhcpv6.MessageTypeRequest, toServer(offer), o.identity(offer.Addr.Addr()))
}

func (o *Options) renew(l Lease) *dhcpv6.Message {
	return o.asking(dhcpv6.MessageTypeRenew, toServer(l), o.identity(l.Addr.Addr()))
}

// rebind asks any server for more time.
func (o *Options) rebind(l Lease) *dhcpv6.Message {
	return o.asking(dhcpv6.MessageTypeRebind, o.identity(l.Addr.Addr()))
}

// confirm asks any server whether the address belongs on the link.
func (o *Options) confirm(l Lease) *dhcpv6.Message {
	return o.message(dhcpv6.MessageTypeConfirm, o.identity(l.Addr.Addr()))
}

func (o *Options) decline(l Lease) *dhcpv6.Message {
	return o.message(dhcpv6.MessageTypeDecline, toServer(l), o.identity(l.Addr.Addr()))
}

func (o *Options) release(l Lease) *dhcpv6.Message {
	return o.message(dhcpv6.MessageTypeRelease, toServer(l), o.identity(l.Addr.Addr()))
}

// identity is the claim's identity association, with an address if there is
// one. Its times stay zero: they are the server's to say.
func (o *Options) identity(addr netip.Addr) dhcpv6.Option {
	ia := &dhcpv6.OptIANA{IaId: o.IAID}
	if addr.IsValid() {
		ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: addr.AsSlice()})
	}
	return ia
}

func toServer(l Lease) dhcpv6.Option {
	return &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionServerID, OptionData: l.Server}
}

// elapsedTime is how long the client has been at it, in hundredths of a second.
func elapsedTime(d time.Duration) dhcpv6.Option {
	const unit = 10 * time.Millisecond
	return dhcpv6.OptElapsedTime(min(d/unit, math.MaxUint16) * unit)
}

// A Conn carries DHCPv6 messages over one link. Receive and Send may be called
// from different goroutines; Close ends a waiting Receive.
type Conn interface {
	// Send sends a message to all servers and relays on the link.
	Send(message []byte) error
	// Receive waits for the next message from a neighbour to the client's port
	// and returns its length in buf.
	Receive(buf []byte) (n int, err error)
	Close() error
}
