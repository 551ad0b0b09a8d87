//go:build !weak

package sriov

// The build tag weak switches this off, for a test that shows that the tests for
// F40 notice.
const (
	// sets a VF aside for the NIC that it was chosen for.
	setsAside = true
)
