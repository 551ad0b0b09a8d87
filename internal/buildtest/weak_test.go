package buildtest

import (
	"testing"

	"github.com/nicferry/nicferry/internal/guardtest"
)

// With the build tag weak a guard is off, and the tests of its failure mode must say
// so. Those of moves are in e2e/migrate/guards.
func TestGuardsAreMissedWhenTheyAreOff(t *testing.T) {
	t.Parallel()
	for _, guard := range []struct{ number, folder string }{
		{"F03", "./internal/proof"},
		{"F05", "./allocator"},
		{"F06", "./allocator"},
		{"F20", "./provider/libvirt"},
		{"F22", "./provider/libvirt"},
		{"F24", "./provider/libvirt"},
		{"F31", "./vmagent/ferry"},
		{"S15", "./vmagent/ferry"},
		{"F39", "./sriov/vf"},
		{"F40", "./sriov/vf"},
		{"F47", "./vmagent/containers"},
		{"S6", "./vmagent/portguard"},
		{"F65", "./allocator"},
		{"F66", "./allocator"},
	} {
		t.Run(guard.number, func(t *testing.T) {
			t.Parallel()
			guardtest.Missed(t, root, guard.number, guard.folder)
		})
	}
}
