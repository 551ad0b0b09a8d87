// Package gate limits how many do something at a time.
package gate

// A Gate lets as many through at a time as it has room. Work in the kernel
// holds a thread, and an agent with a thousand NICs shall not have as many.
type Gate chan struct{}

// New makes a gate with that much room.
func New(room int) Gate { return make(Gate, room) }

// Pass runs fn when there is room, and returns its error.
func (g Gate) Pass(fn func() error) error {
	g <- struct{}{}
	defer func() { <-g }()
	return fn()
}
