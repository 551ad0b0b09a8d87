package dhcp

import (
	"net/netip"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/lease"
)

// A Lease is what a server gave, checked: every value in it is typed and safe
// to put into the kernel or a file. It survives JSON, for the agent's cache.
type Lease struct {
	lease.Grant
	// Router is the default gateway, always inside Addr's subnet; zero if the
	// server gave none that is.
	Router netip.Addr `json:"router,omitzero"`
	// Routes are those of options 121, 249 or 33, by policy only: at most 64,
	// each to another destination and by a neighbour.
	Routes []nic.Route `json:"routes,omitempty"`
	// Server is who gave the lease, and where it is renewed and released.
	Server netip.Addr `json:"server"`
	// Via is the neighbour that the server's answer came through: the server
	// or the router before it. Zero if not known; then frames are broadcast.
	Via nic.MAC `json:"via,omitzero"`
	// MTU in bytes, within 576–9216; 0 if the server said none.
	MTU int `json:"mtu,omitempty"`
}

// Usable says whether the lease still holds at now, so that its address may be
// on the NIC. It is false for a nil or half-filled lease.
func (l *Lease) Usable(now time.Time) bool { return l != nil && l.Server.Is4() && l.Holds(now) }

// Giver names the server to people.
func (l Lease) Giver() string { return l.Server.String() }
