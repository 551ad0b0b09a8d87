package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nicferry/nicferry/nic"
)

// agentState is an AgentTally that keeps what it is told.
type agentState struct {
	connected           bool
	busy, waiting, asks int
	nics                map[[2]string]int // by state and network
	bound, unbound      map[string]int    // by protocol
	members, links      map[[2]string]int // by network and state
}

// Connected implements AgentTally.
func (s *agentState) Connected(connected bool) { s.connected = connected }

// Workers implements AgentTally.
func (s *agentState) Workers(busy, waiting int) { s.busy, s.waiting = busy, waiting }

// Asks implements AgentTally.
func (s *agentState) Asks(open int) { s.asks = open }

// NICs implements AgentTally.
func (s *agentState) NICs(state nic.ObservedState, network string, n int) {
	s.nics[[2]string{clean(string(state)), clean(network)}] += n
}

// Leases implements AgentTally.
func (s *agentState) Leases(protocol string, bound, waiting int) {
	s.bound[clean(protocol)] += bound
	s.unbound[clean(protocol)] += waiting
}

// Members implements AgentTally.
func (s *agentState) Members(network string, up, down int) {
	s.members[[2]string{clean(network), "up"}] += up
	s.members[[2]string{clean(network), "down"}] += down
}

// Links implements AgentTally.
func (s *agentState) Links(network string, up, down int) {
	s.links[[2]string{clean(network), "up"}] += up
	s.links[[2]string{clean(network), "down"}] += down
}

func (a *Agent) gatherState() {
	connected := a.gathered(Gauge, "nicferry_agent_connected", "1 if the controller answers this agent, else 0. Containers keep their NICs meanwhile.")
	workers := a.gathered(Gauge, "nicferry_agent_workers_busy", "Workers that are at a container.")
	waiting := a.gathered(Gauge, "nicferry_agent_containers_waiting", "Containers that wait for a worker.")
	asks := a.gathered(Gauge, "nicferry_agent_asks_open", "Containers with a question to the controller that it has not answered yet.")
	nics := a.gathered(Gauge, "nicferry_agent_nics", "NICs that are wanted of this node, by how far they are and by network; those that nobody holds have none.", "state", "network")
	leases := a.gathered(Gauge, "nicferry_dhcp_leases", "Leases that NICs in containers have.", "protocol")
	unbound := a.gathered(Gauge, "nicferry_dhcp_waiting", "NICs in containers that wait for a lease.", "protocol")
	members := a.gathered(Gauge, "nicferry_bond_members", "Members of containers' bonds, by whether they have a link.", "network", "state")
	links := a.gathered(Gauge, "nicferry_vf_links", "Single virtual functions in containers, by whether they have a link.", "network", "state")
	ends := a.gathered(Gauge, "nicferry_certificate_expiry_timestamp_seconds", "When a certificate of this daemon ends, in seconds since 1970, by what it is for.", "use")
	a.asked(func(send chan<- prometheus.Metric) {
		sendExpiry(send, ends, a.opts.Certificates)
		if a.opts.Tally == nil {
			return
		}
		s := &agentState{nics: map[[2]string]int{}, bound: map[string]int{}, unbound: map[string]int{}, members: map[[2]string]int{}, links: map[[2]string]int{}}
		a.opts.Tally(s)
		send <- gaugeOf(connected, flag(s.connected))
		send <- gaugeOf(workers, float64(s.busy))
		send <- gaugeOf(waiting, float64(s.waiting))
		send <- gaugeOf(asks, float64(s.asks))
		for l, n := range s.nics {
			send <- gaugeOf(nics, float64(n), l[:]...)
		}
		for protocol, n := range s.bound {
			send <- gaugeOf(leases, float64(n), protocol)
		}
		for protocol, n := range s.unbound {
			send <- gaugeOf(unbound, float64(n), protocol)
		}
		for l, n := range s.members {
			send <- gaugeOf(members, float64(n), l[:]...)
		}
		for l, n := range s.links {
			send <- gaugeOf(links, float64(n), l[:]...)
		}
	}, connected, workers, waiting, asks, nics, leases, unbound, members, links, ends)
}
