package dhcp

import (
	"crypto/rand"
	"math"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/nicferry/nicferry/nic"
)

// maxMessage is the size in bytes of the longest message that we take, told to
// the server in option 57.
const maxMessage = 1500

// wantedOptions are asked of the server. Routes are not among them unless they
// are taken: a server that is asked for option 121 may leave out the router.
var wantedOptions = []dhcpv4.OptionCode{
	dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName,
	dhcpv4.OptionDNSDomainSearchList, dhcpv4.OptionInterfaceMTU, dhcpv4.OptionIPAddressLeaseTime,
	dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue,
}

// newXID draws a transaction id, which a server repeats in its answer.
func newXID() (xid dhcpv4.TransactionID) {
	rand.Read(xid[:]) // never returns an error since Go 1.24
	return xid
}

// bare is a message with only what every message has. The broadcast flag stays
// clear: a raw socket hears answers to an address that the kernel does not have.
func (o *Options) bare(kind dhcpv4.MessageType, xid dhcpv4.TransactionID) *dhcpv4.DHCPv4 {
	m := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootRequest,
		HWType:        iana.HWTypeEthernet,
		ClientHWAddr:  o.MAC.Hardware(),
		TransactionID: xid,
		ClientIPAddr:  net.IPv4zero,
		YourIPAddr:    net.IPv4zero,
		ServerIPAddr:  net.IPv4zero,
		GatewayIPAddr: net.IPv4zero,
		Options:       dhcpv4.Options{},
	}
	m.UpdateOption(dhcpv4.OptMessageType(kind))
	m.UpdateOption(dhcpv4.OptClientIdentifier(o.ClientID))
	return m
}

// asking is a message that a lease may come back to.
func (o *Options) asking(kind dhcpv4.MessageType, xid dhcpv4.TransactionID) *dhcpv4.DHCPv4 {
	m := o.bare(kind, xid)
	wanted := wantedOptions
	if o.Routes { // first of all, as RFC 3442 wants
		wanted = slices.Concat([]dhcpv4.OptionCode{classlessRoutes, microsoftRoutes, staticRoutes}, wanted)
	}
	m.UpdateOption(dhcpv4.OptParameterRequestList(wanted...))
	m.UpdateOption(dhcpv4.OptMaxMessageSize(maxMessage))
	if o.Hostname != "" {
		m.UpdateOption(dhcpv4.OptHostName(o.Hostname))
	}
	return m
}

// discover asks any server for an address, if possible wish, and allows it to
// commit at once (RFC 4039), which saves two messages.
func (o *Options) discover(xid dhcpv4.TransactionID, wish netip.Addr) *dhcpv4.DHCPv4 {
	m := o.asking(dhcpv4.MessageTypeDiscover, xid)
	m.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionRapidCommit, nil))
	if wish.Is4() {
		m.UpdateOption(dhcpv4.OptRequestedIPAddress(wish.AsSlice()))
	}
	return m
}

// take accepts what a server offered.
func (o *Options) take(xid dhcpv4.TransactionID, offer Lease) *dhcpv4.DHCPv4 {
	m := o.asking(dhcpv4.MessageTypeRequest, xid)
	m.UpdateOption(dhcpv4.OptServerIdentifier(offer.Server.AsSlice()))
	m.UpdateOption(dhcpv4.OptRequestedIPAddress(offer.Addr.Addr().AsSlice()))
	return m
}

// reboot asks whether a lease of before a restart is good here. It names no
// server, so that every server of the link has a say (RFC 2131 §4.3.2).
func (o *Options) reboot(xid dhcpv4.TransactionID, lease Lease) *dhcpv4.DHCPv4 {
	m := o.asking(dhcpv4.MessageTypeRequest, xid)
	m.UpdateOption(dhcpv4.OptRequestedIPAddress(lease.Addr.Addr().AsSlice()))
	return m
}

// extend asks for more time; the same message renews and rebinds.
func (o *Options) extend(xid dhcpv4.TransactionID, lease Lease) *dhcpv4.DHCPv4 {
	m := o.asking(dhcpv4.MessageTypeRequest, xid)
	m.ClientIPAddr = lease.Addr.Addr().AsSlice()
	return m
}

// giveBack tells the server that the address is free.
func (o *Options) giveBack(lease Lease) *dhcpv4.DHCPv4 {
	m := o.bare(dhcpv4.MessageTypeRelease, newXID())
	m.ClientIPAddr = lease.Addr.Addr().AsSlice()
	m.UpdateOption(dhcpv4.OptServerIdentifier(lease.Server.AsSlice()))
	return m
}

// maxReason bounds the bytes of what we tell a server of a conflict.
const maxReason = 120

// decline tells the server that another host has the address.
func (o *Options) decline(lease Lease, why string) *dhcpv4.DHCPv4 {
	m := o.bare(dhcpv4.MessageTypeDecline, newXID())
	m.UpdateOption(dhcpv4.OptServerIdentifier(lease.Server.AsSlice()))
	m.UpdateOption(dhcpv4.OptRequestedIPAddress(lease.Addr.Addr().AsSlice()))
	if why != "" {
		m.UpdateOption(dhcpv4.OptMessage(why[:min(len(why), maxReason)]))
	}
	return m
}

// A Conn carries DHCP messages over one link. Receive and Send may be called
// from different goroutines; Close ends a waiting Receive.
type Conn interface {
	Send(message []byte, path Path) error
	// Receive waits for the next message to the client's port and returns its
	// length in buf and the neighbour it came through.
	Receive(buf []byte) (n int, via nic.MAC, err error)
	Close() error
}

// A Path says how a message travels.
type Path struct {
	// From is the client's address, 0.0.0.0 while it has none.
	From netip.Addr
	// To is the server's address or 255.255.255.255.
	To netip.Addr
	// Via is the neighbour's MAC, ff:ff:ff:ff:ff:ff for all; never zero.
	Via nic.MAC
}

var (
	noAddr    = netip.IPv4Unspecified()
	everybody = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	allMACs   = nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
)

// toServer is the path to the lease's server, toAnyServer to all on the link.
func (l *Lease) toServer() Path {
	via := l.Via
	if via.IsZero() {
		via = allMACs
	}
	return Path{From: l.Addr.Addr(), To: l.Server, Via: via}
}

func toAnyServer(from netip.Addr) Path { return Path{From: from, To: everybody, Via: allMACs} }

// seconds16 is the "secs" field: how long the client has been at it.
func seconds16(elapsed time.Duration) uint16 {
	return uint16(min(elapsed/time.Second, math.MaxUint16))
}
