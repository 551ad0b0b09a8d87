package aws

import (
	"errors"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/providertest"
)

func kindOf(err error) error {
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return e.Kind
	}
	return nil
}

// TestConformance: where everything happens at once.
func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.RunBubble(t, func(t *testing.T) *providertest.Rig { return open(t, cloudsim.Options{}).rig() })
}

// TestConformanceWithLatency: where it takes its time, as people see of EC2.
func TestConformanceWithLatency(t *testing.T) {
	t.Parallel()
	providertest.RunBubble(t, func(t *testing.T) *providertest.Rig {
		return open(t, cloudsim.Options{Latency: cloudsim.ObservedLatency(), Buckets: cloudsim.DocumentedBuckets(), EmptyPages: true}).rig()
	})
}
