package nic

import "net/netip"

// A Request is what a user asks for one interface of a container. Labels are
// requests: the controller decides.
type Request struct {
	Interface string       `json:"interface"`
	Network   string       `json:"network"`
	Addrs     []netip.Addr `json:"addrs,omitempty"`
	MAC       MAC          `json:"mac,omitzero"`
	// DefaultRoute: the container's default route leaves by this NIC. Unset,
	// the first interface in name order carries it.
	DefaultRoute bool `json:"defaultRoute,omitempty"`
	// FromImage: the container's image asks for this interface, and docker run
	// did not.
	FromImage bool `json:"fromImage,omitempty"`
	// Unstarted: the container has been created and never started. Its NIC is
	// plugged in ahead, for the network's Preplug.
	Unstarted bool `json:"unstarted,omitempty"`
	// Faults are what could not be read. Such a request is recorded as
	// refused, so that the user sees why.
	Faults Faults `json:"faults,omitempty"`
}
