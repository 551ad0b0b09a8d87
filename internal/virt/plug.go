//go:build libvirt

package virt

import (
	"context"
	"fmt"
	"strings"

	"libvirt.org/go/libvirt"
)

// Plug gives the domain the interface: in its stored definition, and in the
// running machine if it runs, with the same alias and MAC. It mends a half: what
// has it in one of the two gets it in the other. Where both have it, nothing is
// done. It returns when libvirt has done its part; the guest sees the card later,
// and one that is frozen when it wakes.
//
// ErrTaken is an alias that another MAC has, a MAC that another alias has, or an
// address in use;
// ErrNoSlot a machine that is full; ErrInconclusive calls for a look. An
// interface that is being unplugged is still there: Plug then only mends the
// stored half, so let it go first.
func (c *Conn) Plug(ctx context.Context, domain string, i Interface) error {
	text, err := MarshalInterface(i)
	if err != nil {
		return fmt.Errorf("plug into domain %s: %w", domain, err)
	}
	err = c.change(ctx, domain, func(dom *libvirt.Domain, d Domain) error {
		live, err := holds(d.Live, i)
		if err != nil {
			return err
		}
		stored, err := holds(d.Stored, i)
		if err != nil {
			return err
		}
		var where libvirt.DomainDeviceModifyFlags
		if d.State != Off && !live {
			where |= libvirt.DOMAIN_DEVICE_MODIFY_LIVE
		}
		if !d.Transient && !stored {
			where |= libvirt.DOMAIN_DEVICE_MODIFY_CONFIG
		}
		if where == 0 {
			return nil
		}
		// Libvirt would add ports to a definition that has none left.
		if (d.State == Off || !live) && d.Slots.Free == 0 {
			return fmt.Errorf("%w: 0 of %d are free", ErrNoSlot, d.Slots.Total)
		}
		return kind(dom.AttachDeviceFlags(text, where))
	})
	if err != nil {
		return fmt.Errorf("plug %s into domain %s: %w", i.Alias, domain, err)
	}
	return nil
}

// Unplug takes the interface out of the stored definition and asks the guest to
// let go of it, as far as the two have it. It is known by its alias and MAC, and
// by its address where i has one. It returns when libvirt has taken the request:
// the card is gone when DeviceRemoved or a listing says so, and until then it
// may be asked for again. ErrNoInterface: neither has it; ErrTaken: what has the
// alias is not what was meant.
func (c *Conn) Unplug(ctx context.Context, domain string, i Interface) error {
	if i.Alias == "" || i.MAC.IsZero() {
		return fmt.Errorf("unplug from domain %s: %w: alias %q and MAC %q must both be known", domain, ErrInvalid, i.Alias, i.MAC)
	}
	err := c.change(ctx, domain, func(dom *libvirt.Domain, d Domain) error {
		live, err := match(d.Live, i)
		if err != nil {
			return err
		}
		i := i
		i.Address = "" // the stored definition has one of its own
		stored, err := match(d.Stored, i)
		if err != nil {
			return err
		}
		if !live && !stored {
			return ErrNoInterface
		}
		// One call for both would end before the stored half where the live
		// one is on its way out already, and says so with an error.
		if stored {
			if err := kind(dom.DetachDeviceAlias(i.Alias, libvirt.DOMAIN_DEVICE_MODIFY_CONFIG)); err != nil {
				return fmt.Errorf("out of the stored definition: %w", err)
			}
		}
		if !live {
			return nil
		}
		err = dom.DetachDeviceAlias(i.Alias, libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
		if err != nil && strings.Contains(err.Error(), "already in the process of unplug") {
			return nil // native hot-plug says it of a second request, ACPI takes it
		}
		return kind(err)
	})
	if err != nil {
		return fmt.Errorf("unplug %s from domain %s: %w", i.Alias, domain, err)
	}
	return nil
}

// holds says whether the interface is among them. ErrTaken: its alias or its MAC
// is, with another MAC or alias.
func holds(interfaces []Interface, i Interface) (bool, error) {
	for _, other := range interfaces {
		switch {
		case other.Alias == i.Alias && other.MAC == i.MAC:
			return true, nil
		case other.Alias == i.Alias, other.MAC == i.MAC:
			return false, fmt.Errorf("%w: interface %s with MAC %s", ErrTaken, other.Alias, other.MAC)
		}
	}
	return false, nil
}

// match says whether exactly this interface is among them.
func match(interfaces []Interface, i Interface) (bool, error) {
	for _, other := range interfaces {
		if other.Alias != i.Alias {
			continue
		}
		if other.MAC != i.MAC || i.Address != "" && other.Address != i.Address {
			return false, fmt.Errorf("%w: %s has MAC %s and address %s, not %s and %s",
				ErrTaken, i.Alias, other.MAC, other.Address, i.MAC, i.Address)
		}
		return true, nil
	}
	return false, nil
}

// change runs f with the domain as it is now.
func (c *Conn) change(ctx context.Context, id string, f func(*libvirt.Domain, Domain) error) error {
	return c.use(ctx, user(id), func(conn *libvirt.Connect) error {
		return with(conn, id, func(dom *libvirt.Domain) error {
			d, err := c.describe(dom)
			if err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err() // nobody waits any more, so nothing is done
			}
			return f(dom, d)
		})
	})
}
