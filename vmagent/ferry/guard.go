//go:build linux && !weak

package ferry

// wiping is switched off by the build tag weak, for a test that shows that the
// tests for F31 notice.
const wiping = true
