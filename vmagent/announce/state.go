package announce

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// State is what a watcher knows. It is not changed after State returned it.
type State struct {
	// Conflicts are the addresses that somebody else has. They may not be on
	// the NIC.
	Conflicts map[netip.Addr]Conflict
	// Unchecked are the addresses that are still probed for the first time and
	// may not be on the NIC before. There are none but in strict mode.
	Unchecked []netip.Addr
	// GatewaysMissing are those that have not answered. It is for people to
	// know and stops nothing.
	GatewaysMissing []netip.Addr
	// MissingSince is when the first of them was found missing.
	MissingSince time.Time
	// Since is when the watcher started.
	Since time.Time
	// Err is the trouble with the wire, nil if there is none. Nothing is
	// probed or announced meanwhile.
	Err error
}

// A Conflict is another holder of one of our addresses.
type Conflict struct {
	// MAC of the other; zero if only the kernel has heard it.
	MAC nic.MAC
	// Since is when it was first heard.
	Since time.Time
	// Again is when the address is probed next.
	Again time.Time
}

// Checked says whether the first probes are over: no address is kept off the
// NIC but those in conflict.
func (s State) Checked() bool { return len(s.Unchecked) == 0 }

// Usable returns those of addrs that may be on the NIC now, in their order.
func (s State) Usable(addrs []netip.Prefix) []netip.Prefix {
	var usable []netip.Prefix
	for _, p := range addrs {
		if _, taken := s.Conflicts[p.Addr()]; !taken && !slices.Contains(s.Unchecked, p.Addr()) {
			usable = append(usable, p)
		}
	}
	return usable
}

// Conditions tells people what is the matter, at most one condition for each
// reason. Its text is the same as long as the matter is.
func (s State) Conditions() []nic.Condition {
	var cs []nic.Condition
	if len(s.Conflicts) > 0 {
		var held []string
		since := time.Time{}
		for _, addr := range slices.SortedFunc(maps.Keys(s.Conflicts), netip.Addr.Compare) {
			c := s.Conflicts[addr]
			held = append(held, addr.String()+" by "+c.who())
			if since.IsZero() || c.Since.Before(since) {
				since = c.Since
			}
		}
		cs = append(cs, nic.Condition{
			Reason: nic.ReasonAddressConflict, Since: since.UTC(),
			Message: "address in use on the wire, taken off this NIC until it is free: " + strings.Join(held, ", "),
		})
	}
	if !s.Checked() {
		message := "probed for another holder before use: " + join(s.Unchecked)
		if s.Err != nil {
			message += fmt.Sprintf(": %v", s.Err)
		}
		cs = append(cs, nic.Condition{Reason: nic.ReasonCheckingAddress, Since: s.Since.UTC(), Message: message})
	}
	if len(s.GatewaysMissing) > 0 {
		cs = append(cs, nic.Condition{
			Reason: nic.ReasonGatewayMissing, Since: s.MissingSince.UTC(),
			Message: "gateway does not answer on the wire: " + join(s.GatewaysMissing),
		})
	}
	return cs
}

func (c Conflict) who() string {
	if c.MAC.IsZero() {
		return "a host that the kernel heard"
	}
	return c.MAC.String()
}

func join(addrs []netip.Addr) string {
	var b strings.Builder
	for i, a := range addrs {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(a.String())
	}
	return b.String()
}

// same compares states; errors by their text.
func (s State) same(o State) bool {
	return maps.Equal(s.Conflicts, o.Conflicts) && slices.Equal(s.Unchecked, o.Unchecked) &&
		slices.Equal(s.GatewaysMissing, o.GatewaysMissing) && fmt.Sprint(s.Err) == fmt.Sprint(o.Err)
}
