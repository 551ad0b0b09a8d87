// Package dhcp keeps DHCPv4 leases for NICs inside containers, from outside
// their namespaces.
//
// A [Keeper] holds one lease. Between its conversations with the server it
// costs one sleeping goroutine and nothing else: no thread, no descriptor, and
// no packet of the container is looked at.
package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/lease"
)

// A Keeper holds one lease until it is stopped; its methods are lease.Keeper's.
type Keeper = lease.Keeper[Lease]

// State is how a lease stands.
type State = lease.State[Lease]

// What State.Err may be, by errors.Is.
var (
	ErrNoAnswer = lease.ErrNoAnswer // no server has answered
	ErrRefused  = lease.ErrRefused  // a server took the lease away (NAK)
	ErrConflict = lease.ErrConflict // the address was declined
)

// Options say whose lease is kept and how to reach the servers.
type Options struct {
	// Listen opens a Conn on the NIC; see Listener. It is called at the start
	// of every conversation and again when a Conn breaks. Required.
	Listen func() (Conn, error)
	// MAC of the NIC. Required.
	MAC nic.MAC
	// ClientID is option 61, 2 to 255 bytes: what the server knows the claim
	// by, whichever NIC serves it. Required.
	ClientID []byte
	// Hostname is told to the server if nic.CheckHostname allows it. Optional.
	Hostname string
	// Routes asks for the server's routes and takes them. A hostile server can
	// draw all traffic to itself with them (CVE-2024-3661): otherwise they are
	// ignored with a note. Optional.
	Routes bool
	// Lease is what an earlier keeper had. While it is usable the keeper goes
	// on with it without a word until T1. Past T1 it asks whether any server
	// knows the lease (INIT-REBOOT), and if nobody answers uses it until it
	// expires. One of an address alone is asked about in the same way, for a second,
	// and then wished for: the client had it at another place. Optional.
	Lease *Lease
	// Reboot asks so before T1 too: the link may be another one. Optional.
	Reboot bool
	// Wake is called from the keeper's goroutine whenever State has changed.
	// It must not block, nor call Stop. Optional.
	Wake func()
	// Told is called with what becomes of the lease, from the keeper's goroutine.
	// It must not block. Optional.
	Told func(lease.Event)
	// Log is told of leases won and lost. Optional.
	Log *slog.Logger
}

// Start begins to keep a lease, in a goroutine that Stop ends. The error names
// a required option that is missing.
func Start(o Options) (*Keeper, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("start DHCP: %w", err)
	}
	if o.Lease != nil && !o.Routes {
		kept := *o.Lease
		kept.Routes = nil // the policy may have changed since
		o.Lease = &kept
	}
	return lease.Start(lease.Options[Lease]{
		Protocol: newProtocol(&o), Lease: o.Lease, Usable: o.Lease.Usable(time.Now()), Verify: o.Reboot, Wake: o.Wake, Told: o.Told, Log: o.Log,
	}), nil
}

// check fills in what is optional and reports what is missing.
func (o *Options) check() error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Hostname != "" && nic.CheckHostname(o.Hostname) != nil {
		o.Log.Warn("host name not told to DHCP server", "err", nic.CheckHostname(o.Hostname))
		o.Hostname = ""
	}
	switch {
	case o.Listen == nil:
		return errors.New("no Listen")
	case o.MAC.IsZero():
		return errors.New("no MAC")
	case len(o.ClientID) < 2 || len(o.ClientID) > 255:
		return fmt.Errorf("client id of %d bytes, want 2 to 255", len(o.ClientID))
	}
	return nil
}

// Release tells the server that o.Lease is given up, without a keeper: for a
// NIC that has left its container already. The message is sent once, no server
// answers it, and one that misses it waits for the expiry. A lease that is nil
// or has expired is nothing to release: nil.
func Release(o Options) error {
	if err := o.check(); err != nil {
		return fmt.Errorf("release DHCP lease: %w", err)
	}
	if !o.Lease.Usable(time.Now()) {
		return nil
	}
	return newProtocol(&o).Release(context.Background(), *o.Lease)
}
