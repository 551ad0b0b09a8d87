//go:build linux && weak

package portguard

const guarding = false
