//go:build linux && !weak

package vf

// The build tag weak switches these off, for a test that shows that the tests for
// F39 and F40 notice.
const (
	// oneAtATime: whoever works at a VF keeps others off it.
	oneAtATime = true
	// oneOwner: a VF that another has is neither taken nor set back.
	oneOwner = true
)
