//go:build weak

package allocator

const (
	secondSource = false
	looksAround  = false
	cleanFirst   = false
	ownClock     = false
	fenced       = false
)
