//go:build linux

package device

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// ensureIpvlan makes a seat, or puts it right as far as it is at home, and in any
// case what it is on. An ipvlan on an interface of the host's own is made like one,
// and that interface is left as it is.
func (m *Maker) ensureIpvlan(ctx context.Context, id nic.ID, d nic.Device, namespaces []*netns.Namespace) error {
	m.shared.Lock()
	defer m.shared.Unlock()
	carrier := m.ensureCarrier
	if d.Parent != "" {
		carrier = m.parentUp
	}
	parent, err := carrier(d)
	if err == nil {
		err = fits(d, parent)
	}
	if err != nil {
		return err
	}
	at, found, err := m.Locate(ctx, id, d, namespaces...)
	if err != nil {
		return err
	}
	if !found {
		if err := m.makeIpvlan(id, d, parent); err != nil {
			return errors.Join(err, m.dropCarrier(d)) // it may carry none
		}
		return nil
	}
	clean, err := m.Clean(id, d)
	if err != nil {
		return err
	}
	l := at.Link
	same := l.Name == clean.Name && l.MTU == clean.MTU && l.Alias == *clean.Alias && !l.Up
	if !at.Home || same {
		return nil
	}
	clean.MAC = nic.MAC{} // the kernel takes none
	return m.host.Set(l, clean)
}

func (m *Maker) makeIpvlan(id nic.ID, d nic.Device, parent link.Link) error {
	name := id.LinkName(homePrefix)
	v := link.Ipvlan{Name: name, Parent: parent.Index, Index: indexOf(id), MTU: d.MTU}
	err := m.host.AddIpvlan(v)
	if errors.Is(err, link.ErrExists) { // the name, or by a rare chance the index
		v.Index = 0
		err = m.host.AddIpvlan(v)
	}
	switch {
	case errors.Is(err, link.ErrExists):
		return fmt.Errorf("interface %q %w: remove or rename it", name, ErrForeign)
	case errors.Is(err, link.ErrBusy):
		return fmt.Errorf("NIC %q carries macvlans, or ipvlans of another mode, or is a port of a bridge or bond, and the kernel lets it have ipvlans only without: "+
			"remove those, or give all that use it one kind: %w", parent.Name, err)
	case errors.Is(err, link.ErrUnsupported) && d.Parent != "":
		return fmt.Errorf("an ipvlan on %s needs the kernel's: install the node's kernel modules, or take ipvlan out of the network's fallback: %w", d.Parent, err)
	case errors.Is(err, link.ErrUnsupported):
		return fmt.Errorf("NICs that several containers share need ipvlan: install the node's kernel modules, "+
			"or give the network a NIC per container (mode: dedicated): %w", err)
	case err != nil:
		return err
	}
	l, err := m.host.ByName(name)
	if err != nil {
		return err
	}
	return m.host.Set(l, link.Change{Alias: new(string(id))})
}

// removeSeat gives an ipvlan or a VLAN up, and with the last one its parent's duty.
func (m *Maker) removeSeat(ctx context.Context, id nic.ID, d nic.Device, namespaces []*netns.Namespace) error {
	m.shared.Lock()
	defer m.shared.Unlock()
	if err := m.removeChild(ctx, id, d, namespaces); err != nil {
		return err
	}
	return m.dropCarrier(d)
}
