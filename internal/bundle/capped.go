package bundle

import (
	"slices"
	"sync"
)

// capped keeps the first or the last bytes that are written to it, and takes
// the rest, so that nobody who writes waits. It may be read while it is written.
type capped struct {
	limit int
	tail  bool

	mu   sync.Mutex
	text []byte
	shut bool // what comes now comes too late
}

// Write implements io.Writer, and never fails.
func (c *capped) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.shut:
	case c.tail:
		c.text = append(c.text, p[max(0, len(p)-c.limit-1):]...)
		if len(c.text) > 2*c.limit+1 { // seldom, as it copies
			c.text = slices.Clone(c.text[len(c.text)-c.limit-1:])
		}
	default:
		c.text = append(c.text, p[:min(len(p), c.limit+1-len(c.text))]...)
	}
	return len(p), nil
}

// take returns what is kept, and whether there was more.
func (c *capped) take() (text []byte, truncated bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut = true
	if len(c.text) <= c.limit {
		return c.text, false
	}
	if c.tail {
		return c.text[len(c.text)-c.limit:], true
	}
	return c.text[:c.limit], true
}
