package main

import (
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// What a start costs depends on whether containers have NICs of their own.
func TestPlannedStarts(t *testing.T) {
	t.Parallel()
	kept := nic.Pool{Min: 1, Max: 2}
	for _, c := range []struct {
		plan       api.NetworkPlan
		cold, warm string
	}{
		{api.NetworkPlan{Cold: []string{"create", "attach"}}, "2 calls: create, attach", "no call, but none is in reserve; give the network a pool"},
		{api.NetworkPlan{Cold: []string{"create"}, Reserve: kept}, "1 calls: create", "no call; in reserve on each node: 1 to 2"},
		{api.NetworkPlan{Cold: []string{"create"}, Shared: true}, "1 calls: create, for the first container on a NIC", "no call, where a NIC has a seat left; none is in reserve beside"},
		{
			api.NetworkPlan{Cold: []string{"create"}, Shared: true, Reserve: kept},
			"1 calls: create, for the first container on a NIC", "no call, where a NIC has a seat left; NICs in reserve on each node: 1 to 2",
		},
	} {
		if cold, warm := starts(c.plan); cold != c.cold || warm != c.warm {
			t.Errorf("%+v: %q and %q, want %q and %q", c.plan, cold, warm, c.cold, c.warm)
		}
	}
}
