package buildtest

import (
	"regexp"
	"testing"
)

// A test that cannot fail proves nothing: with the build tag weak a guard is
// off, and the tests of its failure mode must say so.
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
		{"F47", "./vmagent/containers"},
		{"F63", "./e2e/migrate"},
		{"F65", "./allocator"},
		{"F65", "./e2e/migrate"},
		{"F66", "./allocator"},
	} {
		t.Run(guard.number, func(t *testing.T) {
			t.Parallel()
			out, err := run(t, nil, "go", "test", "-count=1", "-timeout=5m", "-tags=weak", "-run=^Test"+guard.number+"_", guard.folder)
			if err == nil {
				t.Errorf("without its guard the tests for %s pass:\n%s", guard.number, out)
			}
			// A package that does not build or crashes fails too, and proves nothing.
			if !regexp.MustCompile(`(?m)^--- FAIL: Test` + guard.number + `_`).MatchString(out) {
				t.Errorf("no test for %s failed: %v\n%s", guard.number, err, out)
			}
		})
	}
}
