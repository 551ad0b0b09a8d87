//go:build linux

package guards

import (
	"testing"

	"github.com/nicferry/nicferry/internal/guardtest"
)

// With the build tag weak a guard is off, and the tests of its failure mode must say
// so. Those of other packages are in internal/buildtest.
func TestGuardsOfMovesAreMissedWhenTheyAreOff(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"F63", "F65"} {
		t.Run(number, func(t *testing.T) {
			t.Parallel()
			guardtest.Missed(t, "../../..", number, "./e2e/migrate")
		})
	}
}
