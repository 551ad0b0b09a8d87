package lease

// A Gate lets as many through at a time as it has room. Work in the kernel
// holds a thread, and an agent with a thousand leases shall not have as many.
type Gate chan struct{}

// Pass runs fn when there is room, and returns its error.
func (g Gate) Pass(fn func() error) error {
	g <- struct{}{}
	defer func() { <-g }()
	return fn()
}
