//go:build linux && !weak

package ferry

// wiping and guarding are switched off by the build tag weak, for a test that shows
// that the tests for F31 and S15 notice.
const (
	wiping   = true
	guarding = true
)
