//go:build linux && !weak

package portguard

// guarding is switched off by the build tag weak, for a test that shows that the tests
// for S6 notice.
const guarding = true
