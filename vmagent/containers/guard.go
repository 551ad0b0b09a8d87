//go:build linux && !weak

package containers

// inspectAgain is switched off by the build tag weak, for a test that shows
// that the tests for F47 notice.
const inspectAgain = true
