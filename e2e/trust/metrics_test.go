//go:build linux

package trust

import (
	"context"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/fleet"
)

func is(n float64) func(float64) bool       { return func(v float64) bool { return v == n } }
func moreThan(n float64) func(float64) bool { return func(v float64) bool { return v > n } }

// Both daemons tell what there is, what they do and how they are: a container's
// claim, the time of each step, its lease, its traffic while it is pinged, and
// what is wrong when Docker, the agent or the controller is away.
func TestMetrics(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{})
	vm1 := r.Agents[0]
	r.run(vm1, "web", "nicferry.network=lab")
	r.run(vm1, "nowhere", "nicferry.network=nowhere")
	addr := r.address(vm1, "web")

	c, a := r.Machine, vm1.Machine
	for series, good := range map[string]func(float64) bool{
		`nicferry_claims{network="lab",phase="bound"}`:                            is(1),
		`nicferry_claims{network="other",phase="refused"}`:                        is(1),
		`nicferry_refusals_total{reason="UnknownNetwork"}`:                        is(1),
		`nicferry_nics{network="lab",phase="held"}`:                               is(1),
		`nicferry_nodes{phase="ready"}`:                                           is(1),
		`nicferry_attach_seconds_count{step="bound"}`:                             is(1),
		`nicferry_attach_seconds_count{step="placed"}`:                            is(1),
		`nicferry_provider_calls_total{provider="local",result="ok",verb="note"}`: is(1),
		`nicferry_api_requests_total{code="200",operation="hello"}`:               is(1),
		`nicferry_store_commits_total{result="ok"}`:                               moreThan(5),
		`nicferry_certificate_expiry_timestamp_seconds{use="server"}`:             moreThan(float64(time.Now().Unix())),
		`nicferry_leading`: is(1),
	} {
		r.wantValue(c, controllerMetrics, series, good)
	}
	for series, good := range map[string]func(float64) bool{
		`nicferry_agent_connected`:                                       is(1),
		`nicferry_agent_nics{network="lab",state="in"}`:                  is(1),
		`nicferry_dhcp_leases{protocol="dhcpv4"}`:                        is(1),
		`nicferry_dhcp_events_total{event="acquired",protocol="dhcpv4"}`: is(1),
		`nicferry_ferry_seconds_count{step="enter"}`:                     moreThan(0),
		`nicferry_agent_resyncs_total`:                                   moreThan(0),
		`nicferry_certificate_expiry_timestamp_seconds{use="agent"}`:     moreThan(float64(time.Now().Unix())),
	} {
		r.wantValue(a, agentMetrics, series, good)
	}

	received := r.wantValue(a, agentMetrics, "nicferry_nic_receive_packets_total{", moreThan(0))
	sent := r.wantValue(a, agentMetrics, "nicferry_nic_transmit_bytes_total{", moreThan(0))
	_, err := vm1.LAN.Ping(t.Context(), addr, 10*time.Millisecond, 500*time.Millisecond)
	r.do(err)
	r.wantValue(a, agentMetrics, "nicferry_nic_receive_packets_total{", moreThan(received+20))
	r.wantValue(a, agentMetrics, "nicferry_nic_transmit_bytes_total{", moreThan(sent+20*84))

	for _, page := range []string{"/healthz", "/readyz"} {
		r.wantHealth(c, controllerMetrics, page, http.StatusOK, "ok")
		r.wantHealth(a, agentMetrics, page, http.StatusOK, "ok")
	}
	engine := vm1.Machine.Engine
	r.do(engine.Signal(syscall.SIGSTOP))
	t.Cleanup(func() { engine.Signal(syscall.SIGCONT) })
	r.wantHealth(a, agentMetrics, "/readyz", http.StatusServiceUnavailable, "the Docker daemon does not answer")
	r.wantHealth(a, agentMetrics, "/healthz", http.StatusOK, "ok")
	r.do(engine.Signal(syscall.SIGCONT))
	r.wantHealth(a, agentMetrics, "/readyz", http.StatusOK, "ok")
	r.do(r.StopController(t.Context()))
	r.wantHealth(a, agentMetrics, "/readyz", http.StatusServiceUnavailable, "no controller has been heard of for .*; containers keep their NICs")
	r.wantHealth(a, agentMetrics, "/healthz", http.StatusOK, "ok")
	if v := r.wantValue(a, agentMetrics, "nicferry_agent_asks_failed_total{", moreThan(0)); v == 0 {
		t.Error("no call to the controller has failed")
	}
	r.do(r.StartController(t.Context()))
	r.wantHealth(a, agentMetrics, "/readyz", http.StatusOK, "ok")
	r.wantValue(c, controllerMetrics, `nicferry_claims{network="lab",phase="bound"}`, is(1))
	_, err = vm1.Docker(t.Context(), "rm", "-f", "web")
	r.do(err)
	r.wantValue(c, controllerMetrics, `nicferry_claims{network="lab",phase="bound"}`, is(0))
	r.wantValue(a, agentMetrics, `nicferry_dhcp_leases{protocol="dhcpv4"}`, is(0))
}

// A controller whose port for metrics is taken says so and does not start.
func TestTheMetricsPortIsTaken(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{ByHand: true})
	r.do(r.StartController(t.Context()))
	r.wantHealth(r.Machine, controllerMetrics, "/readyz", http.StatusOK, "ok")
	_, err := r.Machine.Run(t.Context(), "sh", "-c", "sed 's/nicferry.db/other.db/; s/nicferryd.sock/other.sock/; s/^listen:.*//' "+r.ConfigPath()+" > "+r.File("other.yaml"))
	r.do(err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err = r.Machine.Run(ctx, r.Program("nicferryd"), "--config", r.File("other.yaml"), "--log-level", "debug")
	if err == nil {
		t.Fatal("it starts")
	}
	r.match(err.Error(), "another program has 127.0.0.1:7461; end it, or give another metrics.address")
	_, err = r.Machine.Run(ctx, r.Program("nicferryd"), "--config", r.File("other.yaml"), "--log-level", "loud")
	if err == nil {
		t.Fatal("it starts")
	}
	r.match(err.Error(), `--log-level "loud"`)
}
