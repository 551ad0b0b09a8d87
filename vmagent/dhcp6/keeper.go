// Package dhcp6 keeps DHCPv6 leases for NICs inside containers, from outside
// their namespaces.
//
// A lease is one address (IA_NA); routes come by router advertisement, which is
// the kernel's part and the ferry's to allow. Between its conversations with
// the server a [Keeper] costs one sleeping goroutine.
package dhcp6

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nicferry/nicferry/vmagent/lease"
)

// A Keeper holds one lease until it is stopped; its methods are lease.Keeper's.
type Keeper = lease.Keeper[Lease]

// State is how a lease stands.
type State = lease.State[Lease]

// What State.Err may be, by errors.Is.
var (
	ErrNoAnswer = lease.ErrNoAnswer // no server has answered
	ErrRefused  = lease.ErrRefused  // a server took the lease away
	ErrConflict = lease.ErrConflict // the address was declined
)

// Options say whose lease is kept and how to reach the servers.
type Options struct {
	// Listen opens a Conn on the NIC; see Listener. It is called at the start
	// of every conversation and again when a Conn breaks. Required.
	Listen func() (Conn, error)
	// DUID is what the server knows the claim by, whichever NIC serves it: see
	// ClaimDUID. Required.
	DUID DUID
	// IAID tells the claim's interfaces apart: see InterfaceIAID. Optional.
	IAID [4]byte
	// Lease is what an earlier keeper had. While it is usable the keeper goes
	// on with it without a word until T1. Past T1 it asks whether it belongs on
	// the link (CONFIRM), and if nobody answers uses it until it expires. One
	// that has expired is wished for again. Optional.
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
		return nil, fmt.Errorf("start DHCPv6: %w", err)
	}
	return lease.Start(lease.Options[Lease]{
		Protocol: newProtocol(&o), Lease: o.Lease, Usable: o.Lease.Usable(time.Now()), Verify: o.Reboot, Wake: o.Wake, Told: o.Told, Log: o.Log,
	}), nil
}

func (o *Options) check() error {
	if o.Listen == nil {
		return errors.New("no Listen")
	}
	return o.DUID.check()
}

// Release tells the server that o.Lease is given up, without a keeper: for a
// NIC that has left its container already. It waits some seconds for the
// server's word; a server that misses the message waits for the expiry. A lease
// that is nil or has expired is nothing to release: nil.
func Release(ctx context.Context, o Options) error {
	if err := o.check(); err != nil {
		return fmt.Errorf("release DHCPv6 lease: %w", err)
	}
	if !o.Lease.Usable(time.Now()) {
		return nil
	}
	return newProtocol(&o).Release(ctx, *o.Lease)
}
