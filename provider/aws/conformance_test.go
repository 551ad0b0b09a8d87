package aws

import (
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/provider/providertest"
)

// TestConformance: where everything happens at once.
func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.RunBubble(t, func(t *testing.T) *providertest.Rig { return open(t, cloudsim.Options{}).Rig() })
}

// TestConformanceOnLoopback: what goes wrong on the wire goes wrong on real
// connections.
func TestConformanceOnLoopback(t *testing.T) {
	t.Parallel()
	lost := func(name string) bool {
		return strings.HasPrefix(name, "F03") || strings.HasSuffix(name, "/Denied") || name == "ListHasEveryNIC"
	}
	providertest.RunSome(t, lost, func(t *testing.T) *providertest.Rig {
		rig := open(t, cloudsim.Options{}).onLoopback().Rig()
		rig.Settle = func(*testing.T) { time.Sleep(time.Millisecond) }
		return rig
	})
}

// TestConformanceWithLatency: where it takes its time, as people see of EC2.
func TestConformanceWithLatency(t *testing.T) {
	t.Parallel()
	providertest.RunBubble(t, func(t *testing.T) *providertest.Rig {
		return open(t, cloudsim.Options{Latency: cloudsim.ObservedLatency(), Buckets: cloudsim.KnownBuckets(), EmptyPages: true}).Rig()
	})
}

// TestConformanceWithLag: where EC2 shows what was done only seconds later.
func TestConformanceWithLag(t *testing.T) {
	t.Parallel()
	providertest.RunBubble(t, func(t *testing.T) *providertest.Rig {
		return open(t, cloudsim.Options{Lag: cloudsim.Lag{Describe: cloudsim.Range{Max: 2 * time.Second}}}).Rig()
	})
}
