//go:build libvirt

package virt

import (
	"context"
	"errors"
	"fmt"

	"libvirt.org/go/libvirt"
)

// Define stores a domain's definition, libvirt's XML, in place of what is there
// under its UUID.
func (c *Conn) Define(ctx context.Context, text string) (Domain, error) {
	var d Domain
	err := c.use(ctx, user("definitions"), func(conn *libvirt.Connect) error {
		dom, err := conn.DomainDefineXMLFlags(text, 0)
		if err != nil {
			return kind(err)
		}
		defer func() { _ = dom.Free() }()
		d, err = c.describe(dom)
		return err
	})
	if err != nil {
		return Domain{}, fmt.Errorf("define domain: %w", err)
	}
	return d, nil
}

// Undefine removes a domain's definition with all that libvirt keeps beside it.
// One that runs goes on without. ErrNoDomain is one that is not there.
func (c *Conn) Undefine(ctx context.Context, id string) error {
	return c.act(ctx, "undefine", id, func(dom *libvirt.Domain, _ Domain) error {
		err := dom.UndefineFlags(libvirt.DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
			libvirt.DOMAIN_UNDEFINE_NVRAM | libvirt.DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)
		if errors.Is(err, libvirt.ERR_INVALID_ARG) { // a driver that keeps no such things
			return dom.Undefine()
		}
		return err
	})
}

// Start starts a domain. One that runs is left alone.
func (c *Conn) Start(ctx context.Context, id string) error {
	return c.act(ctx, "start", id, func(dom *libvirt.Domain, d Domain) error {
		if d.State != Off {
			return nil
		}
		return dom.Create()
	})
}

// Destroy takes a domain's power away. One that is off is left alone.
func (c *Conn) Destroy(ctx context.Context, id string) error {
	return c.act(ctx, "destroy", id, func(dom *libvirt.Domain, d Domain) error {
		if d.State == Off {
			return nil
		}
		return dom.Destroy()
	})
}

// Suspend freezes a domain. ErrNotRunning is one that is off.
func (c *Conn) Suspend(ctx context.Context, id string) error {
	return c.act(ctx, "suspend", id, func(dom *libvirt.Domain, _ Domain) error { return dom.Suspend() })
}

// Resume wakes a domain that is frozen. One that runs is left alone.
func (c *Conn) Resume(ctx context.Context, id string) error {
	return c.act(ctx, "resume", id, func(dom *libvirt.Domain, d Domain) error {
		if d.State == Running {
			return nil
		}
		return dom.Resume()
	})
}

// Reset is the reset button of a domain.
func (c *Conn) Reset(ctx context.Context, id string) error {
	return c.act(ctx, "reset", id, func(dom *libvirt.Domain, _ Domain) error { return dom.Reset(0) })
}

func (c *Conn) act(ctx context.Context, verb, id string, f func(*libvirt.Domain, Domain) error) error {
	err := c.change(ctx, id, func(dom *libvirt.Domain, d Domain) error { return kind(f(dom, d)) })
	if err != nil {
		return fmt.Errorf("%s domain %s: %w", verb, id, err)
	}
	return nil
}

// StartNetwork defines a libvirt network, libvirt's XML, and starts it. One that
// runs is left as it runs.
func (c *Conn) StartNetwork(ctx context.Context, text string) error {
	err := c.use(ctx, user("definitions"), func(conn *libvirt.Connect) error {
		network, err := conn.NetworkDefineXML(text)
		if err != nil {
			return kind(err)
		}
		defer func() { _ = network.Free() }()
		active, err := network.IsActive()
		if err == nil && !active {
			err = network.Create()
		}
		return kind(err)
	})
	if err != nil {
		return fmt.Errorf("start libvirt network: %w", err)
	}
	return nil
}
