package nic

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// A Request is what a user asks for one interface of a container. Labels are
// requests: the controller decides.
type Request struct {
	Interface string       `json:"interface"`
	Network   string       `json:"network"`
	Addrs     []netip.Addr `json:"addrs,omitempty"`
	MAC       MAC          `json:"mac,omitzero"`
	// Tenant is whose container it is to be; empty is the first of its node's.
	// Controllers of API level 1 and later know it.
	Tenant string `json:"tenant,omitempty"`
	// DefaultRoute: the container's default route leaves by this NIC. Unset,
	// the first interface in name order carries it.
	DefaultRoute bool `json:"defaultRoute,omitempty"`
	// FromImage: the container's image asks for this interface, and docker run
	// did not.
	FromImage bool `json:"fromImage,omitempty"`
	// Unstarted: the container has been created and never started. Its NIC is
	// plugged in ahead, for the network's Preplug.
	Unstarted bool `json:"unstarted,omitempty"`
	// NUMA is the node of the processors that the container is bound to, or of most of
	// them; nil if it is bound to none. A controller whose API level is below 2 does not
	// know it.
	NUMA *int `json:"numa,omitempty" minimum:"0" maximum:"1023"`
	// Faults are what could not be read. Such a request is recorded as
	// refused, so that the user sees why.
	Faults Faults `json:"faults,omitempty"`
}

// The bounds of one request.
const (
	maxAddrs     = 32
	maxNUMA      = 1023         // the kernel's last
	maxFaultText = 5 * maxLabel // a label's name or value, quoted, with words around it
)

// Check returns Faults, with every fault of a request that no labels could
// have led to, or nil. Of a request it wants what it wants of labels; the
// request's own Faults are none of Check's but for their number and length.
func (r Request) Check() error {
	var faults Faults
	faults.AddErr("interface", CheckInterfaceName(r.Interface))
	if r.Network != "" {
		faults.AddErr("network", CheckName("network", r.Network))
	} else if len(r.Faults) == 0 {
		faults.Add("network", "is missing")
	}
	if r.Tenant != "" {
		faults.AddErr("tenant", CheckName("tenant", r.Tenant))
	}
	if r.NUMA != nil && (*r.NUMA < 0 || *r.NUMA > maxNUMA) {
		faults.Add("numa", "%d; want 0 to %d, or none", *r.NUMA, maxNUMA)
	}
	if len(r.Addrs) > maxAddrs {
		faults.Add("addrs", "%d addresses; one interface gets %d at most", len(r.Addrs), maxAddrs)
		r.Addrs = nil
	}
	for i, addr := range r.Addrs {
		at := fmt.Sprintf("addrs[%d]", i)
		faults.AddErr(at, checkOwnAddr(addr))
		if slices.Contains(r.Addrs[:i], addr) {
			faults.Add(at, "%s is asked for twice", addr)
		}
	}
	if len(r.Faults) > maxFaults+1 { // the last says how many more there are
		faults.Add("faults", "%d faults, at most %d", len(r.Faults), maxFaults+1)
		r.Faults = nil
	}
	for i, f := range r.Faults {
		if len(f.Field) > maxFaultText || len(f.Problem) > maxFaultText {
			faults.Add(fmt.Sprintf("faults[%d]", i), "longer than %d bytes", maxFaultText)
		}
	}
	return faults.Err()
}

// checkOwnAddr refuses what no container can have as its own address.
func checkOwnAddr(addr netip.Addr) error {
	switch {
	case !addr.IsValid():
		return errors.New("no address")
	case addr.Zone() != "" || addr.Is4In6() || addr.IsMulticast() || addr.IsLoopback() || addr.IsUnspecified() || addr.IsLinkLocalUnicast():
		return fmt.Errorf("%s cannot be a container's own address", addr.WithZone(""))
	}
	return nil
}
