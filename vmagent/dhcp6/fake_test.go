package dhcp6

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// A lan is a link in memory. Its servers behave: they remember their clients,
// and hear only what is meant for them.
type lan struct {
	mu      sync.Mutex
	servers []*fakeServer
	sent    []sent
	open    int // sockets
	// broken, when set, is what opening answers.
	broken error
}

type sent struct {
	at time.Time
	m  *dhcpv6.Message
}

type fakeServer struct {
	id     DUID
	first  netip.Addr // the first address of the pool
	valid  time.Duration
	rapid  bool
	silent bool // it hears and says nothing
	// adopts: it prolongs leases that another server gave.
	adopts bool
	// stranger: the link has another prefix than the clients think.
	stranger bool
	delay    time.Duration
	change   func(*dhcpv6.Message) // edits answers before they leave

	leases map[string]netip.Addr // by client's DUID
}

func newServer(id byte, first string) *fakeServer {
	return &fakeServer{
		id: DUID{0, 3, 0, 1, 2, 0, 0x5e, 0, 0, id}, first: netip.MustParseAddr(first),
		valid: time.Minute, rapid: true, leases: map[string]netip.Addr{},
	}
}

// set changes the lan or a server under its lock.
func (l *lan) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *lan) log() []sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sent)
}

func (l *lan) listen() (Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return nil, l.broken
	}
	l.open++
	return &lanConn{lan: l, in: make(chan []byte, 64), closed: make(chan struct{})}, nil
}

type lanConn struct {
	lan    *lan
	in     chan []byte
	closed chan struct{}
}

func (c *lanConn) Send(message []byte) error {
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	m, err := dhcpv6.MessageFromBytes(message)
	if err != nil {
		return err
	}
	c.lan.sent = append(c.lan.sent, sent{time.Now(), m})
	for _, s := range c.lan.servers {
		named := m.Options.ServerID()
		if s.silent || named != nil && !bytes.Equal(named.ToBytes(), s.id) {
			continue
		}
		answer := s.answer(m)
		if answer == nil {
			continue
		}
		if s.change != nil {
			s.change(answer)
		}
		time.AfterFunc(s.delay, func() { c.in <- answer.ToBytes() })
	}
	return nil
}

func (c *lanConn) Receive(buf []byte) (int, error) {
	select {
	case b := <-c.in:
		return copy(buf, b), nil
	case <-c.closed:
		return 0, os.ErrClosed
	}
}

func (c *lanConn) Close() error {
	c.lan.set(func() { c.lan.open-- })
	close(c.closed)
	return nil
}

// answer is RFC 9915 §18.3, with what the knobs above change.
func (s *fakeServer) answer(m *dhcpv6.Message) *dhcpv6.Message {
	client := string(m.Options.ClientID().ToBytes())
	asked := netip.Addr{}
	if given := m.Options.OneIANA().Options.OneAddress(); given != nil {
		asked, _ = netip.AddrFromSlice(given.IPv6Addr)
	}
	switch m.MessageType {
	case dhcpv6.MessageTypeSolicit:
		if s.rapid && m.GetOneOption(dhcpv6.OptionRapidCommit) != nil {
			s.leases[client] = s.pick(client)
			return s.reply(m, dhcpv6.MessageTypeReply, s.leases[client], dhcpv6.OptionRapidCommit)
		}
		return s.reply(m, dhcpv6.MessageTypeAdvertise, s.pick(client))
	case dhcpv6.MessageTypeRequest:
		s.leases[client] = s.pick(client)
		return s.reply(m, dhcpv6.MessageTypeReply, s.leases[client])
	case dhcpv6.MessageTypeConfirm:
		status := iana.StatusSuccess
		if s.stranger {
			status = iana.StatusNotOnLink
		}
		r := s.bare(m, dhcpv6.MessageTypeReply)
		r.AddOption(&dhcpv6.OptStatusCode{StatusCode: status})
		return r
	case dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind:
		if s.leases[client] != asked && !s.adopts {
			return s.refuse(m)
		}
		s.leases[client] = asked
		return s.reply(m, dhcpv6.MessageTypeReply, asked)
	case dhcpv6.MessageTypeRelease:
		delete(s.leases, client)
		return s.bare(m, dhcpv6.MessageTypeReply)
	case dhcpv6.MessageTypeDecline: // remembered, so that nobody gets it
		delete(s.leases, client)
		s.leases["declined "+asked.String()] = asked
		return s.bare(m, dhcpv6.MessageTypeReply)
	}
	return nil
}

// pick is the client's address, or the next of the pool.
func (s *fakeServer) pick(client string) netip.Addr {
	if addr, ok := s.leases[client]; ok {
		return addr
	}
	addr := s.first
	for range s.leases {
		addr = addr.Next()
	}
	return addr
}

func (s *fakeServer) bare(m *dhcpv6.Message, kind dhcpv6.MessageType) *dhcpv6.Message {
	r := &dhcpv6.Message{MessageType: kind, TransactionID: m.TransactionID}
	r.AddOption(m.GetOneOption(dhcpv6.OptionClientID))
	r.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionServerID, OptionData: s.id})
	return r
}

func (s *fakeServer) reply(m *dhcpv6.Message, kind dhcpv6.MessageType, addr netip.Addr, flags ...dhcpv6.OptionCode) *dhcpv6.Message {
	r := s.bare(m, kind)
	ia := &dhcpv6.OptIANA{IaId: m.Options.OneIANA().IaId, T1: s.valid / 2, T2: s.valid * 4 / 5}
	ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: addr.AsSlice(), PreferredLifetime: s.valid, ValidLifetime: s.valid})
	r.AddOption(ia)
	for _, code := range flags {
		r.AddOption(&dhcpv6.OptionGeneric{OptionCode: code})
	}
	return r
}

func (s *fakeServer) refuse(m *dhcpv6.Message) *dhcpv6.Message {
	r := s.bare(m, dhcpv6.MessageTypeReply)
	ia := &dhcpv6.OptIANA{IaId: m.Options.OneIANA().IaId}
	ia.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoBinding, StatusMessage: "\x1b[2J$(reboot)\n"})
	r.AddOption(ia)
	return r
}

// kinds is the conversation in short: kind of message, and the server if named.
func kinds(log []sent) (list []string) {
	for _, s := range log {
		kind := s.m.MessageType.String()
		if id := s.m.Options.ServerID(); id != nil {
			kind += fmt.Sprintf(" %d", id.ToBytes()[9])
		}
		list = append(list, kind)
	}
	return list
}
