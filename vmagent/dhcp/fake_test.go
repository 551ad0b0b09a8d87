package dhcp

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/nicferry/nicferry/nic"
)

// A lan is a broadcast domain in memory. Its servers behave: they remember
// their clients, and hear only what is addressed to them.
type lan struct {
	mu      sync.Mutex
	servers []*fakeServer
	sent    []sent
	opened  []*lanConn
	// broken, when set, is what opening and sending answer.
	broken error
}

// sent is one message of the client.
type sent struct {
	at   time.Time
	m    *dhcpv4.DHCPv4
	path Path
}

type fakeServer struct {
	id    netip.Addr
	first netip.Addr // the first address of the pool
	lease time.Duration
	rapid bool
	// silent: it hears and says nothing.
	silent bool
	// refuse: it answers every REQUEST with a NAK.
	refuse bool
	// adopts: it prolongs leases that another server gave.
	adopts bool
	// delay before each answer.
	delay time.Duration
	// change edits answers before they leave.
	change func(*dhcpv4.DHCPv4)

	leases map[string]netip.Addr // by client id
}

func newServer(id, first string) *fakeServer {
	return &fakeServer{
		id: netip.MustParseAddr(id), first: netip.MustParseAddr(first),
		lease: time.Minute, rapid: true, leases: map[string]netip.Addr{},
	}
}

// set changes the lan or a server under its lock.
func (l *lan) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// log returns what was sent so far.
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
	c := &lanConn{lan: l, in: make(chan []byte, 64), closed: make(chan struct{})}
	l.opened = append(l.opened, c)
	return c, nil
}

type lanConn struct {
	lan    *lan
	in     chan []byte
	closed chan struct{}
	once   sync.Once
}

func (c *lanConn) Send(message []byte, path Path) error {
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	if c.lan.broken != nil {
		return c.lan.broken
	}
	m, err := dhcpv4.FromBytes(message)
	if err != nil {
		return err
	}
	c.lan.sent = append(c.lan.sent, sent{at: time.Now(), m: m, path: path})
	for _, s := range c.lan.servers {
		if s.silent || path.To != everybody && path.To != s.id {
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

func (c *lanConn) Receive(buf []byte) (int, nic.MAC, error) {
	select {
	case b := <-c.in:
		return copy(buf, b), serverMAC, nil
	case <-c.closed:
		return 0, nic.MAC{}, os.ErrClosed
	}
}

func (c *lanConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// answer is RFC 2131 §4.3, with what the knobs above change.
func (s *fakeServer) answer(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	client := string(m.Options.Get(dhcpv4.OptionClientIdentifier))
	named, hasName := toAddr(m.ServerIdentifier())
	if hasName && named != s.id {
		return nil
	}
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		if s.rapid && m.Options.Has(dhcpv4.OptionRapidCommit) {
			s.leases[client] = s.pick(client)
			ack := s.reply(m, dhcpv4.MessageTypeAck, s.leases[client])
			ack.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionRapidCommit, nil))
			return ack
		}
		return s.reply(m, dhcpv4.MessageTypeOffer, s.pick(client))
	case dhcpv4.MessageTypeRequest:
		asked, ok := toAddr(m.RequestedIPAddress())
		if !ok {
			asked, _ = toAddr(m.ClientIPAddr)
		}
		known := s.leases[client] == asked || hasName && asked == s.pick(client)
		if s.refuse || !known && !s.adopts {
			return s.reply(m, dhcpv4.MessageTypeNak, netip.Addr{})
		}
		s.leases[client] = asked
		return s.reply(m, dhcpv4.MessageTypeAck, asked)
	case dhcpv4.MessageTypeRelease:
		delete(s.leases, client)
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

func (s *fakeServer) reply(m *dhcpv4.DHCPv4, kind dhcpv4.MessageType, addr netip.Addr) *dhcpv4.DHCPv4 {
	r := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: m.HWType, TransactionID: m.TransactionID,
		ClientHWAddr: m.ClientHWAddr, ClientIPAddr: m.ClientIPAddr, Options: dhcpv4.Options{},
	}
	r.UpdateOption(dhcpv4.OptMessageType(kind))
	r.UpdateOption(dhcpv4.OptServerIdentifier(s.id.AsSlice()))
	if kind != dhcpv4.MessageTypeNak {
		r.YourIPAddr = addr.AsSlice()
		r.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
		r.UpdateOption(dhcpv4.OptRouter(s.id.AsSlice()))
		r.UpdateOption(dhcpv4.OptIPAddressLeaseTime(s.lease))
	}
	return r
}

var (
	clientMAC = nic.MAC{0x02, 0, 0x5e, 0x10, 0, 1}
	serverMAC = nic.MAC{0x02, 0, 0x5e, 0x20, 0, 1}
)
