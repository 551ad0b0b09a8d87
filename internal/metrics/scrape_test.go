package metrics_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/nicferry/nicferry/internal/metrics"
	"github.com/nicferry/nicferry/nic"
)

// BenchmarkScrape is a page of a controller with 50 networks, and one of an agent
// with 1,000 NICs in containers.
func BenchmarkScrape(b *testing.B) {
	var networks []string
	for i := range 50 {
		networks = append(networks, fmt.Sprint("net", i))
	}
	c := metrics.NewController(metrics.ControllerOptions{Networks: networks, Tenants: []string{"default"}, Tally: func(t metrics.Tally) {
		t.Leading(true)
		for _, n := range networks {
			t.Claims(nic.ClaimBound, n, "default", 20)
			t.NICs(nic.PhaseHeld, n, 20)
		}
	}})
	a := metrics.NewAgent(metrics.AgentOptions{Traffic: trafficOf(1000)})
	for name, source := range map[string]metrics.Source{"controller": c, "agent": a} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if code, _ := page(b, metrics.Options{Source: source}, "/metrics"); code != 200 {
					b.Fatal(code)
				}
			}
		})
	}
}

func trafficOf(nics int) func(context.Context, func(nic.ID, nic.ClaimID, string, nic.Traffic)) {
	return func(_ context.Context, each func(nic.ID, nic.ClaimID, string, nic.Traffic)) {
		for i := range nics {
			each(nic.ID(fmt.Sprintf("nic-%016x", i)), nic.ClaimID(fmt.Sprintf("clm-%016x", i)), "net1", nic.Traffic{RxBytes: uint64(i)})
		}
	}
}
