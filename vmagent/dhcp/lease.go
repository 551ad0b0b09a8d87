package dhcp

import (
	"net/netip"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A Lease is what a server gave, checked: every value in it is typed and safe
// to put into the kernel or a file. It survives JSON, for the agent's cache.
type Lease struct {
	// Addr is the address with its subnet's length.
	Addr netip.Prefix `json:"addr"`
	// Router is the default gateway, always inside Addr's subnet; zero if the
	// server gave none that is.
	Router netip.Addr `json:"router,omitzero"`
	// Server is who gave the lease, and where it is renewed and released.
	Server netip.Addr `json:"server"`
	// Via is the neighbour that the server's answer came through: the server
	// or the router before it. Zero if not known; then frames are broadcast.
	Via nic.MAC `json:"via,omitzero"`
	// MTU in bytes, within 576–9216; 0 if the server said none.
	MTU    int          `json:"mtu,omitempty"`
	DNS    []netip.Addr `json:"dns,omitempty"`
	Search []string     `json:"search,omitempty"`
	// Acquired is when the request was sent that the server said yes to.
	Acquired time.Time `json:"acquired"`
	// T1 and T2 are when the lease is renewed at its server, and at any.
	T1 time.Time `json:"t1"`
	T2 time.Time `json:"t2"`
	// Expires is when the address must be gone from the NIC.
	Expires time.Time `json:"expires"`
	// Notes say to a person what of the answer was left out or changed, and why.
	Notes []string `json:"notes,omitempty"`
}

// Usable says whether the lease still holds at now, so that its address may be
// on the NIC. It is false for a nil or half-filled lease.
func (l *Lease) Usable(now time.Time) bool {
	return l != nil && l.Addr.IsValid() && l.Server.Is4() &&
		!l.T1.IsZero() && !l.T2.Before(l.T1) && !l.Expires.Before(l.T2) && now.Before(l.Expires)
}

// renewal is when to start renewing. A clock that was set back since the lease
// was stored makes its times worthless: then it is at once.
func (l *Lease) renewal(now time.Time) time.Time {
	if now.Before(l.Acquired) {
		return now
	}
	return l.T1
}
