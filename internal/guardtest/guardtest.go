// Package guardtest holds that tests miss a guard that is off: one that cannot fail
// proves nothing.
package guardtest

import (
	"os/exec"
	"regexp"
	"testing"
)

// Missed runs the tests of a failure mode, such as F63, that are in the folder, as
// ./allocator below root, without their guards: with the build tag weak. One of them
// must fail.
func Missed(t *testing.T, root, number, folder string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-timeout=5m", "-tags=weak", "-run=^Test"+number+"_", folder)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("without its guard the tests for %s pass:\n%s", number, out)
	}
	// A package that does not build or crashes fails too, and proves nothing.
	if !regexp.MustCompile(`(?m)^--- FAIL: Test` + number + `_`).Match(out) {
		t.Errorf("no test for %s failed: %v\n%s", number, err, out)
	}
}
