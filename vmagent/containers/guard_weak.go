//go:build linux && weak

package containers

const inspectAgain = false
