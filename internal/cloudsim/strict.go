package cloudsim

// Strict says whether a face refuses parameters that it does not know.
func (c *Cloud) Strict() bool { return !c.opts.Lenient }
