package libvirt

import (
	"context"

	"github.com/nicferry/nicferry/internal/virt"
)

// A Hypervisor is what the provider needs of libvirt; *virt.Conn is one. A
// domain is named by its name or its UUID. Errors are of the kinds of package
// virt, or ctx's. All methods may be called concurrently.
type Hypervisor interface {
	// Domain returns one domain as it is now, or virt.ErrNoDomain.
	Domain(ctx context.Context, domain string) (virt.Domain, error)
	// Domains returns all domains, running or not, or an error.
	Domains(ctx context.Context) ([]virt.Domain, error)
	// Plug puts i into the live and the stored definition: into the stored
	// alone while the domain is off, and into the live alone if it has no other.
	// A definition that has it already, by alias and MAC, is left as it is; one
	// with the alias or the MAC on another card, or another device at i's
	// address, is virt.ErrTaken.
	Plug(ctx context.Context, domain string, i virt.Interface) error
	// Unplug takes i, as Domain has listed it, out of the definitions that have
	// it: exactly the card with its alias, its MAC and, where it was listed, its
	// address. Nil means that the guest was asked: the card is in the live
	// definition until the guest has let it go, and so does nil again while the
	// guest is at it. virt.ErrNoInterface if neither definition has it,
	// virt.ErrTaken if the alias is another card's by now, and virt.ErrBusy if
	// the guest takes no request now; the stored definition is rid of it then.
	Unplug(ctx context.Context, domain string, i virt.Interface) error
	// Events is one channel of hints for the life of the connection.
	Events() <-chan virt.Event
}

// A connection is a hypervisor that is opened when it is first needed.
type connection struct {
	open func(context.Context) (Hypervisor, error)
	turn chan struct{} // held while hv is looked at or opened
	hv   Hypervisor
}

func newConnection(open func(context.Context) (Hypervisor, error)) *connection {
	return &connection{open: open, turn: make(chan struct{}, 1)}
}

func (c *connection) get(ctx context.Context) (Hypervisor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.hv != nil {
		return c.hv, nil
	}
	hv, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	c.hv = hv
	return hv, nil
}

// now returns what is open already, or nil.
func (c *connection) now() Hypervisor {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	return c.hv
}
