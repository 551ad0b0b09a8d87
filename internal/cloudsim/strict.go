package cloudsim

import "time"

// Strict says whether a face refuses parameters that it does not know.
func (c *Cloud) Strict() bool {
	if !c.opts.Lenient {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &turn{c: c, now: time.Now()}
	return t.strict()
}
