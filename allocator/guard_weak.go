//go:build weak

package allocator

const (
	secondSource = false
	looksAround  = false
	ownClock     = false
	fenced       = false
)
