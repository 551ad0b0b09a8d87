//go:build linux

package device

import (
	"errors"
	"fmt"
	"os"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/hotplug"
)

// carrierAlias marks a plugged NIC that carries seats, or VLANs as a trunk, as ours to set down.
const carrierAlias = "nicferry:seats"

// carrierSettings keep the host itself off a NIC that carries seats: it is their
// wire and nothing else. Reset they are as the namespace's default has them.
var carrierSettings = [...]struct{ family, key, value string }{
	{"ipv6", "disable_ipv6", "1"}, // no address of its own, no heed to routers
	{"ipv4", "arp_ignore", "8"},   // no answer for the host's addresses
}

// plugged is the parent of a seat, or of a trunk's VLAN. Until it is plugged in the error is
// [hotplug.ErrNotFound].
func (m *Maker) plugged(d nic.Device) (link.Link, error) {
	links, err := m.host.Links()
	if err != nil {
		return link.Link{}, err
	}
	p, err := hotplug.Pick(links, d.Plugged())
	if err != nil {
		return link.Link{}, fmt.Errorf("NIC with MAC %s, which the container is to share: %w", d.Plugged(), err)
	}
	return p, nil
}

// ensureCarrier has the NIC with the recipe's MAC up, without addresses, and kept
// from the host. The caller holds the lock.
func (m *Maker) ensureCarrier(d nic.Device) (link.Link, error) {
	p, err := m.plugged(d)
	if err != nil {
		return link.Link{}, err
	}
	if err := m.mayCarry(p); err != nil {
		return link.Link{}, err
	}
	for _, s := range carrierSettings {
		if err := m.settle(s.value, s.family, "conf", p.Name, s.key); err != nil {
			return link.Link{}, err
		}
	}
	addrs, err := m.host.Addrs(p)
	if err != nil {
		return link.Link{}, err
	}
	for _, a := range addrs { // a network manager's (F36)
		if err := m.host.DelAddr(p, a.Prefix); err != nil {
			return link.Link{}, err
		}
	}
	if p.Up && p.MAC == d.Plugged() && p.Alias == carrierAlias {
		return p, nil
	}
	c := link.Change{Alias: new(carrierAlias), Up: new(true)}
	if p.MAC != d.Plugged() { // udev's doing (F37); the cloud would drop its frames
		c.MAC = d.Plugged()
	}
	if err := m.host.Set(p, c); err != nil {
		return link.Link{}, err
	}
	return m.host.ByIndex(p.Index)
}

// mayCarry refuses a NIC that the host lives by.
func (m *Maker) mayCarry(p link.Link) error {
	if p.Alias == carrierAlias {
		return nil
	}
	if p.Master != 0 {
		return fmt.Errorf("NIC %q %w: it is a port of %s", p.Name, ErrForeign, m.nameOf(p.Master))
	}
	routes, err := m.host.Routes(p)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if r.To.Bits() == 0 {
			return fmt.Errorf("NIC %q %w: the node's default route %s leaves by it; if a network manager made that, "+
				"see nicferry doctor --fix", p.Name, ErrForeign, r)
		}
	}
	return nil
}

// dropCarrier sets the parent of seats down as it came, once it carries none.
// The caller holds the lock.
func (m *Maker) dropCarrier(d nic.Device) error {
	if d.Parent != "" { // the host's own
		return nil
	}
	p, err := m.plugged(d)
	if errors.Is(err, hotplug.ErrNotFound) {
		return nil // unplugged meanwhile
	}
	if err != nil || p.Alias != carrierAlias {
		return err
	}
	if carries, err := m.carries(p); err != nil || carries {
		return err
	}
	if err := m.host.Set(p, link.Change{Up: new(false), Plain: true}); err != nil {
		return err
	}
	for _, s := range carrierSettings {
		was, err := m.host.Namespace().Sysctl(s.family, "conf", "default", s.key)
		if err == nil {
			err = m.settle(was, s.family, "conf", p.Name, s.key)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return m.host.Set(p, link.Change{Alias: new("")}) // last: it says that this is to be done
}

// carries says whether anything rides on a link of the host's, in any namespace.
func (m *Maker) carries(p link.Link) (found bool, err error) {
	here, err := m.childrenIn(m.host, p)
	if err != nil || len(here) > 0 {
		return len(here) > 0, err
	}
	live, err := netns.Live(m.host.Namespace().ID())
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, netns.CloseAll(live)) }()
	for _, ns := range live {
		h, err := link.Open(ns)
		if err != nil {
			return false, err
		}
		there, err := m.childrenIn(h, p)
		h.Close()
		if err != nil || len(there) > 0 {
			return len(there) > 0, err
		}
	}
	return false, nil
}

// settle writes a setting below /proc/sys/net of the host, unless it is so
// already. One that this kernel does not have needs no setting.
func (m *Maker) settle(value string, parts ...string) error {
	was, err := m.host.Namespace().Sysctl(parts...)
	if err == nil && was != value {
		err = m.host.Namespace().SetSysctl(value, parts...)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("set sysctl net.%s.%s.%s.%s: %w", parts[0], parts[1], parts[2], parts[3], err)
	}
	return nil
}
