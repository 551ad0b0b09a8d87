//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
)

// PowerOff ends all that runs in the node at once, as when a machine loses its
// power: no program is asked. Its files stay, but for /run; its network goes. It
// may be called twice. Nothing else may be done with the node meanwhile.
func (n *Node) PowerOff() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return fmt.Errorf("power node off: %w", ErrClosed)
	}
	if err := n.holder.end(); err != nil {
		return fmt.Errorf("power node off: %w", err)
	}
	for _, p := range n.processes {
		<-p.Done() // the kernel has killed it
	}
	n.processes = nil
	if err := removeCgroups(n.Name()); err != nil {
		return fmt.Errorf("power node off: %w", err)
	}
	return nil
}

// PowerOn starts a node that is off, with an empty /run and a network that has
// nothing but its loopback. Wires, segments, the engine and daemons are the
// caller's to make or start anew.
func (n *Node) PowerOn(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return fmt.Errorf("power node on: %w", ErrClosed)
	}
	select {
	case <-n.holder.exited:
	default:
		return errors.New("power node on: it is not off")
	}
	holder, err := hold(ctx)
	if err != nil {
		return fmt.Errorf("power node on: %w", err)
	}
	n.holder = holder
	return nil
}
