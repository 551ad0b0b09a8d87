package dhcp6

import (
	"time"

	"github.com/nicferry/nicferry/vmagent/lease"
)

// A Lease is what a server gave, checked: every value in it is typed and safe
// to put into the kernel or a file. It survives JSON, for the agent's cache.
type Lease struct {
	lease.Grant
	// Server is who gave the lease, and who renews it.
	Server DUID `json:"server"`
	// Preferred is until when new connections should use the address; at most
	// Expires.
	Preferred time.Time `json:"preferred"`
}

// Usable says whether the lease still holds at now, so that its address may be
// on the NIC. It is false for a nil or half-filled lease.
func (l *Lease) Usable(now time.Time) bool {
	return l != nil && l.Server.check() == nil && isHost(l.Addr.Addr()) && l.Holds(now)
}

// Giver names the server to people.
func (l Lease) Giver() string { return l.Server.String() }
