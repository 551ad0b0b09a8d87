package conf

import (
	"slices"
	"strings"
)

// cabling is what the networks together say of a node's bridges: a bridge has
// one owner and an interface is in one bridge.
type cabling struct {
	bridges map[string]bridge // by name
	uplinks map[string]port   // by interface
}

type bridge struct {
	line    int
	owned   bool
	uplinks string // sorted and joined, to compare
}

type port struct {
	line   int
	bridge string
}

func newCabling() cabling {
	return cabling{bridges: map[string]bridge{}, uplinks: map[string]port{}}
}

// checkCabling adds one network's bridge.
func (d *doc) checkCabling(c cabling, path string, n network) {
	path = under(path, "veth")
	if n.Veth == nil || !d.good(under(path, "bridge")) || d.bad[under(path, "owned")] || d.bad[under(path, "uplinks")] {
		return
	}
	v := n.Veth
	sorted := slices.Sorted(slices.Values(v.Uplinks))
	this := bridge{d.line(path), v.Owned, strings.Join(sorted, ", ")}
	first, ok := c.bridges[v.Bridge]
	switch {
	case !ok:
		c.bridges[v.Bridge] = this
	case first.owned != this.owned:
		d.fault(under(path, "owned"), "bridge %s is owned: %t here and %t on line %d; want the same in all its networks",
			quote(v.Bridge), this.owned, first.owned, first.line)
	case first.uplinks != this.uplinks:
		d.fault(under(path, "uplinks"), "bridge %s has uplinks %s here and %s on line %d; want the same in all its networks",
			quote(v.Bridge), orNone(this.uplinks), orNone(first.uplinks), first.line)
	}
	for i, uplink := range v.Uplinks {
		at := item(under(path, "uplinks"), i)
		if !d.good(at) {
			continue
		}
		other, ok := c.uplinks[uplink]
		switch {
		case slices.Contains(v.Uplinks[:i], uplink):
			d.fault(at, "%s is listed twice", quote(uplink))
		case uplink == v.Bridge:
			d.fault(at, "%s is the bridge itself", quote(uplink))
		case ok && other.bridge != v.Bridge:
			d.fault(at, "%s is an uplink of bridge %s already, on line %d; an interface is in one bridge",
				quote(uplink), quote(other.bridge), other.line)
		case !ok:
			c.uplinks[uplink] = port{d.line(at), v.Bridge}
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// checkParents checks what can be said only when all bridges are known: an
// uplink that is another network's bridge, and a macvlan on top of either.
func (d *doc) checkParents(c cabling, networks []network) {
	for i, n := range networks {
		path := item("networks", i)
		if n.Veth != nil {
			for j, uplink := range n.Veth.Uplinks {
				if b, ok := c.bridges[uplink]; ok && uplink != n.Veth.Bridge {
					d.fault(item(under(under(path, "veth"), "uplinks"), j),
						"%s is the bridge of line %d; a bridge cannot be in a bridge", quote(uplink), b.line)
				}
			}
		}
		if n.Macvlan == nil || n.Macvlan.Parent == "" {
			continue
		}
		at := under(under(path, "macvlan"), "parent")
		if p, ok := c.uplinks[n.Macvlan.Parent]; ok {
			d.fault(at, "%s is an uplink of bridge %s on line %d; the kernel allows an interface one of the two",
				quote(n.Macvlan.Parent), quote(p.bridge), p.line)
		}
		if b, ok := c.bridges[n.Macvlan.Parent]; ok && b.owned {
			d.fault(at, "%s is the owned bridge of line %d, which comes and goes", quote(n.Macvlan.Parent), b.line)
		}
	}
}
