//go:build libvirt

package virt

import (
	"context"
	"errors"
	"fmt"

	"libvirt.org/go/libvirt"
)

// Domain reads the domain with the UUID or name. ErrNoDomain is one that
// libvirt does not have.
func (c *Conn) Domain(ctx context.Context, id string) (Domain, error) {
	var d Domain
	err := c.use(ctx, reader, func(conn *libvirt.Connect) error {
		return with(conn, id, func(dom *libvirt.Domain) (err error) {
			d, err = c.describe(dom)
			return err
		})
	})
	if err != nil {
		return Domain{}, fmt.Errorf("read domain %s: %w", id, err)
	}
	return d, nil
}

// Domains reads all domains, running or not. It is an error rather than a list
// that is short; one that goes away meanwhile is not in it.
func (c *Conn) Domains(ctx context.Context) ([]Domain, error) {
	var all []Domain
	err := c.use(ctx, reader, func(conn *libvirt.Connect) error {
		all = nil
		there := map[string]bool{}
		doms, err := conn.ListAllDomains(0) // both those that run and those that do not
		if err != nil {
			return kind(err)
		}
		defer free(doms)
		for i := range doms {
			if ctx.Err() != nil {
				return ctx.Err() // nobody waits for the rest
			}
			d, err := c.describe(&doms[i])
			if errors.Is(err, ErrNoDomain) {
				continue
			}
			if err != nil {
				return err
			}
			all = append(all, d)
			there[d.UUID] = true
		}
		c.memory.keepOnly(there)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	return all, nil
}

func free(doms []libvirt.Domain) {
	for i := range doms {
		_ = doms[i].Free()
	}
}

// with runs f with a domain that is looked up by its UUID, else by its name.
func with(conn *libvirt.Connect, id string, f func(*libvirt.Domain) error) error {
	dom, err := find(conn, id)
	if err != nil {
		return kind(err)
	}
	defer func() { _ = dom.Free() }()
	return f(dom)
}

func find(conn *libvirt.Connect, id string) (*libvirt.Domain, error) {
	if isUUID(id) {
		if dom, err := conn.LookupDomainByUUIDString(id); err == nil {
			return dom, nil
		} else if !errors.Is(kind(err), ErrNoDomain) {
			return nil, err
		}
	}
	return conn.LookupDomainByName(id)
}

// describe reads a domain. It can stop or start in between; then the error says
// so, or the next look tells.
func (c *Conn) describe(dom *libvirt.Domain) (Domain, error) {
	persistent, err := dom.IsPersistent()
	if err != nil {
		return Domain{}, kind(err)
	}
	state, reason, err := dom.GetState()
	if err != nil {
		return Domain{}, kind(err)
	}
	var live, stored string
	if state != libvirt.DOMAIN_SHUTOFF && state != libvirt.DOMAIN_NOSTATE {
		if live, err = dom.GetXMLDesc(0); err != nil {
			return Domain{}, kind(err)
		}
	}
	if persistent {
		if stored, err = dom.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE); err != nil {
			return Domain{}, kind(err)
		}
	}
	uuid, err := dom.GetUUIDString() // known on this side: no call
	if err != nil {
		return Domain{}, kind(err)
	}
	d, err := c.memory.domain(uuid, live, stored)
	if err != nil {
		return Domain{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	d.State = stateOf(state)
	if d.State == Off {
		if d.Asleep, err = asleep(dom, reason); err != nil {
			return Domain{}, kind(err)
		}
	}
	return d, nil
}

// asleep looks for what a domain that is off may be woken from. The reason alone
// does not outlive a restart of libvirtd.
func asleep(dom *libvirt.Domain, reason int) (bool, error) {
	switch libvirt.DomainShutoffReason(reason) {
	case libvirt.DOMAIN_SHUTOFF_SAVED, libvirt.DOMAIN_SHUTOFF_MIGRATED:
		return true, nil
	}
	return dom.HasManagedSaveImage(0)
}

// stateOf tells which states are of use: in all but these the guest does not
// run, but QEMU does.
func stateOf(s libvirt.DomainState) State {
	switch s {
	case libvirt.DOMAIN_RUNNING, libvirt.DOMAIN_BLOCKED, libvirt.DOMAIN_SHUTDOWN:
		return Running
	case libvirt.DOMAIN_SHUTOFF, libvirt.DOMAIN_NOSTATE:
		return Off
	default:
		return Paused // also crashed or suspended: nobody answers in it
	}
}
