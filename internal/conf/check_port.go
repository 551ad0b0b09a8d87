package conf

import (
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// checkPort checks how a hypervisor plugs a network's NICs in.
func (d *doc) checkPort(path string, s portSection) {
	var chosen []nic.PortKind
	name := ""
	for _, n := range s.switches() {
		at := under(path, string(n.kind))
		switch {
		case !d.given(at):
			continue
		case len(chosen) > 0:
			d.fault(at, "%s is given already on line %d; want one of the two", chosen[0], d.line(under(path, string(chosen[0]))))
		default:
			name = n.name
		}
		chosen = append(chosen, n.kind)
	}
	if len(chosen) == 1 {
		d.portFaults(path, s.as(chosen[0], name))
		return
	}
	unsure := slices.ContainsFunc(s.switches(), func(n namedSwitch) bool { return d.bad[under(path, string(n.kind))] })
	if len(chosen) == 0 && !unsure {
		d.fault(path, "want exactly one of bridge, ovs, network and macvtap")
	}
	// What does not hang on the kind of switch is told all the same: a VLAN is
	// fine with one kind, and a filter with another.
	tagged, filtered := s, s
	tagged.Filter, filtered.VLAN = "", 0
	d.portFaults(path, tagged.as(nic.PortOVS, "any"))
	if s.Filter != "" {
		filtered.Inbound, filtered.Outbound, filtered.Queues, filtered.Model = rate{}, rate{}, 0, ""
		d.portFaults(path, filtered.as(nic.PortBridge, "any"))
	}
}

// portFaults finds the lines of what nic finds wrong with a port. A field with
// a part that could not be read is left alone.
func (d *doc) portFaults(path string, p nic.Port) {
	for _, f := range nic.AsFaults(p.Check()) {
		at := under(path, f.Field)
		if !d.badBelow(at) {
			d.fault(at, "%s", f.Problem)
		}
	}
}

// badBelow says whether a field of a port, or a part of it, was rejected.
func (d *doc) badBelow(path string) bool {
	return d.bad[path] || d.bad[under(path, "average")] || d.bad[under(path, "peak")] || d.bad[under(path, "burst")]
}
