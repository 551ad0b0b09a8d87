package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nicferry/nicferry/nic"
)

// counts is a Tally that adds up what may be told apart.
type counts struct {
	c       *Controller
	claims  map[[2]string]int // by phase and network
	tenants map[[2]string]int // by phase and tenant
	nics    map[[2]string]int // by phase and network
	nodes   map[string]int
	wanted  map[string]int // by network
	leads   bool
}

// Claims implements Tally.
func (t *counts) Claims(phase nic.ClaimPhase, network, tenant string, n int) {
	t.claims[[2]string{clean(string(phase)), t.c.networks.label(network)}] += n
	t.tenants[[2]string{clean(string(phase)), t.c.tenants.label(tenant)}] += n
}

// NICs implements Tally.
func (t *counts) NICs(phase nic.Phase, network string, n int) {
	t.nics[[2]string{clean(string(phase)), t.c.networks.label(network)}] += n
}

// Nodes implements Tally.
func (t *counts) Nodes(phase nic.NodePhase, n int) { t.nodes[clean(string(phase))] += n }

// Pool implements Tally.
func (t *counts) Pool(network string, wanted int) { t.wanted[t.c.networks.label(network)] += wanted }

// Leading implements Tally.
func (t *counts) Leading(leads bool) { t.leads = leads }

// gatherCounts has the counts gathered at each scrape. A phase that nobody is
// in is not told, but for the phases of claims and NICs of known networks: a
// series that comes and goes makes graphs with holes.
func (c *Controller) gatherCounts() {
	claims := c.gathered(Gauge, "nicferry_claims", "Claims, by phase and network. Networks that are not in the config are one: other.", "phase", "network")
	tenants := c.gathered(Gauge, "nicferry_tenant_claims", "Claims, by phase and tenant.", "phase", "tenant")
	nics := c.gathered(Gauge, "nicferry_nics", "NICs on record, by phase and network; the pools' are spare and cooling, and those that seats are on are carrying.", "phase", "network")
	nodes := c.gathered(Gauge, "nicferry_nodes", "Nodes, by phase.", "phase")
	wanted := c.gathered(Gauge, "nicferry_pool_wanted_nics", "NICs that the pools of a network are to have made ahead, over all nodes that are ready.", "network")
	leads := c.gathered(Gauge, "nicferry_leading", "1 if this controller does the work, 0 if it only answers. Then it counts nothing.")
	c.asked(func(send chan<- prometheus.Metric) {
		if c.opts.Tally == nil {
			return
		}
		t := &counts{
			c: c, claims: map[[2]string]int{}, tenants: map[[2]string]int{}, nics: map[[2]string]int{},
			nodes: map[string]int{}, wanted: map[string]int{},
		}
		c.opts.Tally(t)
		send <- gaugeOf(leads, flag(t.leads))
		if !t.leads {
			return
		}
		t.fill()
		for l, n := range t.claims {
			send <- gaugeOf(claims, float64(n), l[:]...)
		}
		for l, n := range t.tenants {
			send <- gaugeOf(tenants, float64(n), l[:]...)
		}
		for l, n := range t.nics {
			send <- gaugeOf(nics, float64(n), l[:]...)
		}
		for phase, n := range t.nodes {
			send <- gaugeOf(nodes, float64(n), phase)
		}
		for network, n := range t.wanted {
			send <- gaugeOf(wanted, float64(n), network)
		}
	}, claims, tenants, nics, nodes, wanted, leads)
}

// fill tells the zeros too.
func (t *counts) fill() {
	for _, network := range t.c.opts.Networks {
		label := t.c.networks.label(network)
		for _, phase := range []nic.ClaimPhase{nic.ClaimPending, nic.ClaimReady, nic.ClaimBound, nic.ClaimReleasing, nic.ClaimRefused, nic.ClaimMoving, nic.ClaimParked} {
			t.claims[[2]string{string(phase), label}] += 0
		}
		for _, phase := range []nic.Phase{nic.PhasePlanned, nic.PhaseSpare, nic.PhaseHeld, nic.PhaseCarrying, nic.PhaseReturning, nic.PhaseCooling, nic.PhaseRetiring} {
			t.nics[[2]string{string(phase), label}] += 0
		}
	}
	for _, phase := range []nic.NodePhase{nic.NodeReady, nic.NodeSilent, nic.NodeLost, nic.NodeRevoked} {
		t.nodes[string(phase)] += 0
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
