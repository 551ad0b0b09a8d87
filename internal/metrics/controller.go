package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nicferry/nicferry/nic"
)

// A Tally takes what a controller has at the moment. What is told twice is
// added up.
type Tally interface {
	// Claims is how many claims are in a phase.
	Claims(phase nic.ClaimPhase, network, tenant string, count int)
	// NICs is how many NICs are in a phase.
	NICs(phase nic.Phase, network string, count int)
	// Nodes is how many nodes are in a phase.
	Nodes(phase nic.NodePhase, count int)
	// Pool is how many NICs a network's pools are to have made ahead, over all
	// nodes. Those they have are NICs without holder: spare and cooling.
	Pool(network string, wanted int)
	// Leading says whether this controller does the work.
	Leading(leads bool)
}

// ControllerOptions are what a controller's metrics are made of.
type ControllerOptions struct {
	Build Build // required
	// Networks, Tenants and Providers are the names in the config. Others are
	// counted together.
	Networks, Tenants, Providers []string
	// Tally is asked at each scrape, and tells from memory. Optional.
	Tally func(Tally)
	// Certificates tells when each certificate that the controller shows or
	// signs with ends, by what it is for. Optional.
	Certificates func(each func(use string, until time.Time))
}

// Controller is what the controller's parts tell of their work. All methods
// may be called at any time, by any number of goroutines.
type Controller struct {
	*set
	opts                         ControllerOptions
	networks, tenants, providers known

	steps             *prometheus.HistogramVec
	calls             *prometheus.CounterVec
	callSeconds       *prometheus.HistogramVec
	throttles, waits  *prometheus.CounterVec
	requests          *prometheus.CounterVec
	requestSeconds    *prometheus.HistogramVec
	findings, mended  *prometheus.CounterVec
	commits, refusals *prometheus.CounterVec
	commitSeconds     *prometheus.HistogramVec
	moves             *moves
}

// The bounds of what takes from milliseconds to minutes, and of what should
// take milliseconds.
func longTimes() []float64 {
	return []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}
}

func shortTimes() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}
}

// NewController makes a controller's metrics.
func NewController(o ControllerOptions) *Controller {
	c := &Controller{
		set: newSet(o.Build), opts: o,
		networks: knownOf(o.Networks), tenants: knownOf(o.Tenants), providers: knownOf(o.Providers),
	}
	c.gatherCounts()
	c.gatherCertificates()
	c.steps = c.histogram("nicferry_attach_seconds",
		"Time that each step of a NIC's way into a container took, by the step that was done then; nicferry describe claims shows those of one. That a container was started is no step here: the wait for it is its user's.",
		longTimes(), "step")
	c.calls = c.counter("nicferry_provider_calls_total", "Calls to providers that have ended, by what they came to; note is a NIC that its node makes, plugged in by a note in the records.", "provider", "verb", "result")
	c.callSeconds = c.histogram("nicferry_provider_call_seconds", "Time that calls to providers took.", longTimes(), "provider", "verb")
	c.throttles = c.counter("nicferry_provider_throttled_total", "Calls that a provider refused because there were too many.", "provider", "verb")
	c.waits = c.counter("nicferry_provider_turn_waits_total", "Times that a NIC had to wait for its turn, so that a provider is not called more often than it allows.", "provider", "verb")
	c.requests = c.counter("nicferry_api_requests_total", "Requests to the API that have ended, by operation and HTTP status; a watch ends with its connection.", "operation", "code")
	c.requestSeconds = c.histogram("nicferry_api_request_seconds", "Time that requests to the API took, but for those that stay open.", shortTimes(), "operation")
	c.findings = c.counter("nicferry_sweep_findings_total", "Differences between records, providers and nodes that the sweep saw for the first time, by kind.", "kind")
	c.mended = c.counter("nicferry_sweep_mended_total", "Differences that the sweep acted upon, by kind.", "kind")
	c.commits = c.counter("nicferry_store_commits_total", "Commits to the store: ok, conflict (done again on fresh records) or failed.", "result")
	c.commitSeconds = c.histogram("nicferry_store_commit_seconds", "Time that commits to the store took.", shortTimes())
	c.refusals = c.counter("nicferry_refusals_total", "Claims that became refused, by reason. A claim that is tried again and refused for the same reason counts once.", "reason")
	c.moves = newMoves(c.set)
	return c
}

// Stepped notes that a NIC has taken a step on its way into a container.
func (c *Controller) Stepped(step string, took time.Duration) {
	c.steps.WithLabelValues(clean(step)).Observe(took.Seconds())
}

// Called notes a call to a provider that has ended.
func (c *Controller) Called(provider, verb, result string, took time.Duration) {
	provider = c.providers.label(provider)
	c.calls.WithLabelValues(provider, clean(verb), clean(result)).Inc()
	c.callSeconds.WithLabelValues(provider, clean(verb)).Observe(took.Seconds())
}

// Throttled notes a call that a provider refused because there were too many.
func (c *Controller) Throttled(provider, verb string) {
	c.throttles.WithLabelValues(c.providers.label(provider), clean(verb)).Inc()
}

// Waited notes a NIC that has to wait for its turn.
func (c *Controller) Waited(provider, verb string) {
	c.waits.WithLabelValues(c.providers.label(provider), clean(verb)).Inc()
}

// Committed notes a commit to the store.
func (c *Controller) Committed(result string, took time.Duration) {
	c.commits.WithLabelValues(clean(result)).Inc()
	c.commitSeconds.WithLabelValues().Observe(took.Seconds())
}

// Refused notes a claim that became refused.
func (c *Controller) Refused(reason nic.Reason) {
	c.refusals.WithLabelValues(clean(string(reason))).Inc()
}

// Found notes a difference that the sweep has found, and Mended one that it has
// acted upon.
func (c *Controller) Found(kind string) { c.findings.WithLabelValues(clean(kind)).Inc() }

// Mended is described at Found.
func (c *Controller) Mended(kind string) { c.mended.WithLabelValues(clean(kind)).Inc() }

// Requested notes a request to the API that has ended. operation is empty where
// there was no such route; stays is for one that stays open until somebody
// hangs up, whose time says nothing.
func (c *Controller) Requested(operation string, code int, took time.Duration, stays bool) {
	if operation == "" {
		operation = "none"
	}
	c.requests.WithLabelValues(clean(operation), strconv.Itoa(code)).Inc()
	if !stays {
		c.requestSeconds.WithLabelValues(clean(operation)).Observe(took.Seconds())
	}
}

// Metrics are the names that a controller serves, besides go_* and process_*.
func (c *Controller) Metrics() []Metric { return c.metrics }

func (c *Controller) gatherCertificates() {
	ends := c.gathered(Gauge, "nicferry_certificate_expiry_timestamp_seconds", "When a certificate of this daemon ends, in seconds since 1970, by what it is for.", "use")
	c.asked(func(send chan<- prometheus.Metric) { sendExpiry(send, ends, c.opts.Certificates) }, ends)
}

// sendExpiry sends when each certificate ends; zero is not told. Of two for one use the one that
// ends first counts.
func sendExpiry(send chan<- prometheus.Metric, ends *prometheus.Desc, tell func(each func(use string, until time.Time))) {
	if tell == nil {
		return
	}
	first := map[string]time.Time{}
	tell(func(use string, until time.Time) {
		if was, ok := first[clean(use)]; !until.IsZero() && (!ok || until.Before(was)) {
			first[clean(use)] = until
		}
	})
	for use, until := range first {
		send <- gaugeOf(ends, float64(until.Unix()), use)
	}
}
