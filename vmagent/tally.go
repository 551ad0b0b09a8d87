package vmagent

import "github.com/nicferry/nicferry/nic"

// A Tally takes how the agent stands at the moment.
type Tally interface {
	// Connected says whether the controller answers.
	Connected(connected bool)
	// Workers is how many workers are at a container, and Waiting how many
	// containers wait for one.
	Workers(busy, waiting int)
	// Asks is how many questions to the controller are not answered yet.
	Asks(open int)
	// NICs is how many NICs of a network are on the node in a state.
	NICs(state nic.ObservedState, network string, count int)
	// Leases is how many NICs have a lease of a protocol, and wait for one.
	Leases(protocol string, bound, waiting int)
	// Members is how many members of bonds of a network have a link, and have none.
	Members(network string, up, down int)
	// Links is how many single VFs of a network have a link, and have none.
	Links(network string, up, down int)
}

// The protocols that leases come by.
const (
	dhcp4Leases = "dhcpv4"
	dhcp6Leases = "dhcpv6"
)

// Tally tells how the agent stands, from memory.
func (a *Agent) Tally(to Tally) {
	a.contact.mu.Lock()
	up := a.contact.up
	a.contact.mu.Unlock()
	to.Connected(up)
	to.Workers(a.queue.Load())
	a.asks.mu.Lock()
	open := len(a.asks.byKey)
	a.asks.mu.Unlock()
	to.Asks(open)
	for _, w := range a.wishes.all() {
		if w.NIC == "" {
			continue
		}
		said, ok := a.report.last(w)
		if !ok || said.State == "" {
			said.State = nic.ObservedWaiting
		}
		to.NICs(said.State, w.Network, 1)
	}
	to.Leases(dhcp4Leases, 0, 0)
	to.Leases(dhcp6Leases, 0, 0)
	a.plugs.mu.Lock()
	defer a.plugs.mu.Unlock()
	for _, p := range a.plugs.all {
		p.inside.mu.Lock()
		for protocol, bound := range p.inside.leases {
			if bound {
				to.Leases(protocol, 1, 0)
			} else {
				to.Leases(protocol, 0, 1)
			}
		}
		if up, down := p.inside.membersUp, p.inside.membersDown; up+down > 0 {
			to.Members(p.inside.wanted.Network, up, down)
		}
		if up, down := p.inside.linksUp, p.inside.linksDown; up+down > 0 {
			to.Links(p.inside.wanted.Network, up, down)
		}
		p.inside.mu.Unlock()
	}
}
