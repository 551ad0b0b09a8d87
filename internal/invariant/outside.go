package invariant

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// providers finds what a provider says against the records (P1, P2, P4, P6).
func (c *check) providers() {
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		macs, seen := map[nic.MAC][]nic.ID{}, map[nic.ID]nic.Seen{}
		for _, s := range c.Providers[name].NICs {
			seen[s.NIC] = s
			if !s.MAC.IsZero() {
				macs[s.MAC] = append(macs[s.MAC], s.NIC)
			}
			n, ok := c.now.nics[s.NIC]
			_, was := c.before.nics[s.NIC]
			switch {
			case !ok && !was:
				c.add(P2, ids(s.NIC), "is %s at provider %s and has no record", s.State, name)
			case ok && n.Provider != name:
				c.add(P2, ids(s.NIC), "is at provider %s and recorded at %s", name, n.Provider)
			case ok && s.State == nic.StateAttached && s.Place.Instance != n.Instance:
				c.add(P6, ids(s.NIC), "is plugged into %s and belongs on %s", s.Place.Instance, n.Instance)
			}
		}
		for mac, of := range macs {
			if len(of) > 1 {
				c.add(P1, ids(of...), "have the same MAC %s at provider %s", mac, name)
			}
		}
		for _, n := range c.Records.NICs {
			if n.Provider == name && n.Carrier == "" && c.stayed(n, nic.PhaseHeld, nic.PhaseSpare, nic.PhaseCarrying) && seen[n.ID].State != nic.StateAttached {
				c.add(P4, ids(n.ID), "is %s, and %s at provider %s", n.Phase, orAbsent(seen[n.ID].State), name)
			}
			c.seatAt(name, n, seen)
		}
	}
}

// seatAt finds a seat whose address is not on the NIC that it is to be on (P1).
func (c *check) seatAt(provider string, n nic.NIC, seen map[nic.ID]nic.Seen) {
	before := c.before.nics[n.ID]
	stayed := n.Provider == provider && n.Carrier != "" && c.stayed(n, nic.PhaseHeld) && before.Turn == n.Turn && before.Carrier == n.Carrier
	if !stayed || len(seen[n.Carrier].Addrs) == 0 {
		return
	}
	for _, addr := range n.Seen.Addrs {
		if !slices.Contains(seen[n.Carrier].Addrs, addr) {
			c.add(P1, ids(n.ID, n.Carrier), "the seat has %s, which is not on the NIC at provider %s", addr, provider)
		}
	}
}

// stayed says whether the NIC was in one of the phases in both readings.
func (c *check) stayed(n nic.NIC, phases ...nic.Phase) bool {
	return slices.Contains(phases, n.Phase) && slices.Contains(phases, c.before.nics[n.ID].Phase)
}

func orAbsent(s nic.State) string {
	if s == "" {
		return "absent"
	}
	return string(s)
}

// backWithin is how long a stopped container's NIC may still be in it: the two
// seconds that are promised, and what a busy machine needs on top.
const backWithin = 10 * time.Second

// links finds what a node's kernel shows against the records (P1, P4, P5, P8).
func (c *check) links() {
	observed := map[nic.ID]nic.Observed{}
	for _, o := range c.Records.Observed {
		observed[o.NIC] = o
	}
	for _, name := range slices.Sorted(maps.Keys(c.Nodes)) {
		byMAC, bySeat := map[nic.MAC][]Link{}, map[nic.ID][]Link{}
		for _, l := range c.Nodes[name].Links {
			if l.Kind == seatKind {
				bySeat[nic.ID(l.Alias)] = append(bySeat[nic.ID(l.Alias)], l)
			} else if l.Kind != "bridge" {
				byMAC[l.MAC] = append(byMAC[l.MAC], l)
			}
		}
		for _, n := range c.Records.NICs {
			links := byMAC[macOf(n)]
			if n.Carrier != "" && n.Seen.Device.Kind != nic.Found { // it has the MAC of what it is on
				links = bySeat[n.ID]
			}
			if n.Node == name && (!macOf(n).IsZero() || len(links) > 0) {
				running := observed[n.ID].Running
				if known := c.Nodes[name].Running; known != nil {
					running = known[c.now.claims[n.Holder].Owner.Sandbox]
				}
				c.linksOf(n, links, running)
			}
		}
		c.unknown(name)
	}
	c.twice()
}

// twice finds MACs that two nodes have (P1), while the NIC stays on its node.
func (c *check) twice() {
	for _, n := range c.Records.NICs {
		var on []string
		for _, name := range slices.Sorted(maps.Keys(c.Nodes)) {
			if slices.ContainsFunc(c.Nodes[name].Links, func(l Link) bool { return l.Kind != "bridge" && l.MAC == macOf(n) }) {
				on = append(on, name)
			}
		}
		if before := c.before.nics[n.ID]; len(on) > 1 && !macOf(n).IsZero() && before.Node == n.Node && before.Turn == n.Turn {
			c.add(P1, ids(n.ID), "has MAC %s on the nodes %s", macOf(n), strings.Join(on, " and "))
		}
	}
}

func (c *check) linksOf(n nic.NIC, links []Link, running bool) {
	claim := c.now.claims[n.Holder]
	bound := claim.Phase == nic.ClaimBound && c.before.claims[claim.ID].Phase == nic.ClaimBound
	inside := slices.ContainsFunc(links, func(l Link) bool { return l.Namespace != "" })
	switch {
	case len(links) > 1:
		c.add(P1, ids(n.ID), "is more than one interface on node %s: %+v", n.Node, links)
	case bound && running && !inside:
		c.add(P4, ids(n.ID), "is not in the running container %s on node %s: %+v", claim.Container, n.Node, links)
	case inside && claim.Move == nil && !claim.StoppedAt.IsZero() && c.Now.Sub(claim.StoppedAt) > backWithin:
		c.add(P5, ids(n.ID), "is still in a namespace of node %s, and its container %s stopped at %s", n.Node, claim.Container, claim.StoppedAt)
	case inside && inReserve(n) && c.stayed(n, nic.PhaseSpare, nic.PhaseCooling):
		c.add(P5, ids(n.ID), "is %s, and still in a namespace of node %s: %+v", n.Phase, n.Node, links)
	case n.Phase == nic.PhaseRetiring && len(links) > 0 && c.stayed(n, nic.PhaseRetiring) && n.Seen.Device.Kind.Made():
		c.add(P8, ids(n.ID), "is being deleted, and still an interface of node %s: %+v", n.Node, links)
	}
}

// unknown finds interfaces with our MACs that no record knows (P8).
func (c *check) unknown(node string) {
	known := map[nic.MAC]bool{}
	for _, r := range []reading{c.now, c.before} {
		for _, n := range r.nics {
			known[macOf(n)] = true
		}
	}
	for _, l := range c.Nodes[node].Links {
		if l.MAC.Drawn() && l.Kind != "bridge" && !known[l.MAC] {
			c.add(P8, []string{l.Name}, "on node %s has MAC %s of ours and no record (namespace %q)", node, l.MAC, l.Namespace)
		}
	}
}

// strangers finds changes of what is not ours (P3, P8).
func (c *check) strangers() {
	c.changed(P3, c.Strangers.NICs, c.Strangers.NICsNow)
	c.changed(P8, c.Strangers.Hosts, c.Strangers.HostsNow)
}

func (c *check) changed(promise string, was, is map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(was)) {
		now, ok := is[name]
		switch {
		case !ok:
			c.add(promise, []string{name}, "is not ours, and gone: it was %s", was[name])
		case now != was[name]:
			c.add(promise, []string{name}, "is not ours, and changed from %s to %s", was[name], strings.TrimSpace(now))
		}
	}
	if promise != P8 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if _, ok := was[name]; !ok {
			c.add(promise, []string{name}, "is new on the host, and no NIC's: %s", is[name])
		}
	}
}
