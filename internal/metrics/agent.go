package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nicferry/nicferry/nic"
)

// An AgentTally takes how an agent stands at the moment.
type AgentTally interface {
	// Connected says whether the controller answers this agent.
	Connected(connected bool)
	// Workers is how many of the agent's workers are at a container, and Waiting
	// how many containers wait for one.
	Workers(busy, waiting int)
	// Asks is how many questions to the controller are not answered yet.
	Asks(open int)
	// NICs is how many NICs of a network are on the node in a state.
	NICs(state nic.ObservedState, network string, count int)
	// Leases is how many NICs have a lease of a DHCP protocol, and wait for one.
	Leases(protocol string, bound, waiting int)
	// Members is how many members of bonds of a network have a link, and have none.
	Members(network string, up, down int)
	// Links is how many single VFs of a network have a link, and have none.
	Links(network string, up, down int)
}

// AgentOptions are what an agent's metrics are made of.
type AgentOptions struct {
	Build Build // required
	// Tally is asked at each scrape, and tells from memory. Optional.
	Tally func(AgentTally)
	// Traffic is asked at each scrape for the counters of the NICs that are in
	// containers. It ends with ctx and tells what it has by then. Optional.
	Traffic func(ctx context.Context, each func(id nic.ID, claim nic.ClaimID, network string, t nic.Traffic))
	// Certificates is as in ControllerOptions. Optional.
	Certificates func(each func(use string, until time.Time))
}

// Agent is what the agent's parts tell of their work. All methods may be
// called at any time, by any number of goroutines.
type Agent struct {
	*set
	opts    AgentOptions
	steps   *prometheus.HistogramVec
	failed  *prometheus.CounterVec
	resyncs *prometheus.CounterVec
	asks    *prometheus.CounterVec
	leases  *prometheus.CounterVec
	byHand  *prometheus.CounterVec
	members *prometheus.CounterVec
	links   *prometheus.CounterVec
}

// NewAgent makes an agent's metrics.
func NewAgent(o AgentOptions) *Agent {
	a := &Agent{set: newSet(o.Build), opts: o}
	a.gatherState()
	a.gatherTraffic()
	a.steps = a.histogram("nicferry_ferry_seconds",
		"Time that each step with a container's NIC took on the node: make or find, enter, address, out.", longTimes(), "step")
	a.failed = a.counter("nicferry_ferry_failures_total", "Steps with a container's NIC that failed. They are tried again.", "step")
	a.resyncs = a.counter("nicferry_agent_resyncs_total", "Looks at all containers and NICs, in case an event was lost.")
	a.asks = a.counter("nicferry_agent_asks_failed_total", "Calls to the controller that failed, by what was asked. They are tried again.", "ask")
	a.leases = a.counter("nicferry_dhcp_events_total",
		"What became of DHCP leases: acquired, verified, renewed, refused (a NAK), expired, declined (another host has the address).", "protocol", "event")
	a.byHand = a.counter("nicferry_vf_mended_total",
		"Settings of containers' VFs that somebody else had changed, and that were put right, by setting.", "field")
	a.members = a.counter("nicferry_bond_member_failures_total", "Times that a member of a container's bond has lost its link.", "network")
	a.links = a.counter("nicferry_vf_link_failures_total", "Times that a container's single virtual function was found without a link that it had.", "network")
	a.resyncs.WithLabelValues()
	return a
}

// Ferried notes a step with a container's NIC.
func (a *Agent) Ferried(step string, took time.Duration, err error) {
	if err != nil {
		a.failed.WithLabelValues(clean(step)).Inc()
		return
	}
	a.steps.WithLabelValues(clean(step)).Observe(took.Seconds())
}

// Resynced notes a look at all containers and NICs.
func (a *Agent) Resynced() { a.resyncs.WithLabelValues().Inc() }

// AskFailed notes a call to the controller that failed.
func (a *Agent) AskFailed(ask string) { a.asks.WithLabelValues(clean(ask)).Inc() }

// Leased notes what became of a DHCP lease.
func (a *Agent) Leased(protocol, event string) {
	a.leases.WithLabelValues(clean(protocol), clean(event)).Inc()
}

// SetByHand notes a setting of a VF that somebody else had changed.
func (a *Agent) SetByHand(field string) { a.byHand.WithLabelValues(clean(field)).Inc() }

// LinkFailed notes that a single VF has lost its link.
func (a *Agent) LinkFailed(network string) { a.links.WithLabelValues(clean(network)).Inc() }

// MemberFailed notes that members of a bond have lost their links so many times.
func (a *Agent) MemberFailed(network string, times int) {
	a.members.WithLabelValues(clean(network)).Add(float64(times))
}

// Metrics are the names that an agent serves, besides go_* and process_*.
func (a *Agent) Metrics() []Metric { return a.metrics }

// trafficTime bounds the reading of the NICs' counters, so that a namespace
// that hangs does not cost all other metrics. Prometheus waits for 10 s.
const trafficTime = 3 * time.Second

func (a *Agent) gatherTraffic() {
	type counter struct {
		desc  *prometheus.Desc
		value func(nic.Traffic) uint64
	}
	var all []counter
	var descs []*prometheus.Desc
	add := func(name, help string, value func(nic.Traffic) uint64) {
		d := a.gathered(Counter, name, help+" by a NIC that is in a container, since its link was made.", "nic", "claim", "network")
		all, descs = append(all, counter{d, value}), append(descs, d)
	}
	add("nicferry_nic_receive_bytes_total", "Bytes received", func(t nic.Traffic) uint64 { return t.RxBytes })
	add("nicferry_nic_receive_packets_total", "Packets received", func(t nic.Traffic) uint64 { return t.RxPackets })
	add("nicferry_nic_receive_errors_total", "Packets received with errors", func(t nic.Traffic) uint64 { return t.RxErrors })
	add("nicferry_nic_receive_drops_total", "Packets received and dropped", func(t nic.Traffic) uint64 { return t.RxDropped })
	add("nicferry_nic_transmit_bytes_total", "Bytes transmitted", func(t nic.Traffic) uint64 { return t.TxBytes })
	add("nicferry_nic_transmit_packets_total", "Packets transmitted", func(t nic.Traffic) uint64 { return t.TxPackets })
	add("nicferry_nic_transmit_errors_total", "Packets not transmitted because of errors", func(t nic.Traffic) uint64 { return t.TxErrors })
	add("nicferry_nic_transmit_drops_total", "Packets dropped instead of transmitted", func(t nic.Traffic) uint64 { return t.TxDropped })
	a.asked(func(send chan<- prometheus.Metric) {
		if a.opts.Traffic == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), trafficTime)
		defer cancel()
		told := map[nic.ID]bool{}
		a.opts.Traffic(ctx, func(id nic.ID, claim nic.ClaimID, network string, t nic.Traffic) {
			if told[id] {
				return // two of one name would cost the whole page
			}
			told[id] = true
			for _, c := range all {
				send <- counterOf(c.desc, float64(c.value(t)), clean(string(id)), clean(string(claim)), clean(network))
			}
		})
	}, descs...)
}
