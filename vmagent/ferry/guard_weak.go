//go:build linux && weak

package ferry

const (
	wiping   = false
	guarding = false
)
