//go:build linux

package device

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// ensureVLAN makes a trunk's member, or puts it right as far as it is at home, and in any
// case the trunk. One with the tag of an earlier attachment is of no use, wherever it is:
// what it sends is nobody's, or another's by now. It is made anew.
func (m *Maker) ensureVLAN(ctx context.Context, id nic.ID, d nic.Device, namespaces []*netns.Namespace) error {
	m.shared.Lock()
	defer m.shared.Unlock()
	trunk, err := m.ensureCarrier(d)
	if err == nil {
		err = fits(d, trunk)
	}
	if err != nil {
		return err
	}
	at, found, err := m.Locate(ctx, id, d, namespaces...)
	if err == nil && found && at.Link.VLAN != d.Tag {
		found, err = false, m.removeChild(ctx, id, d, namespaces)
	}
	if err != nil {
		return err
	}
	if !found {
		if err := m.makeVLAN(id, d, trunk); err != nil {
			return errors.Join(err, m.dropCarrier(d)) // it may carry none
		}
		return nil
	}
	clean, err := m.Clean(id, d)
	if err != nil {
		return err
	}
	l := at.Link
	same := l.Name == clean.Name && l.MAC == clean.MAC && l.MTU == clean.MTU && l.Alias == *clean.Alias && !l.Up
	if !at.Home || same {
		return nil
	}
	return m.host.Set(l, clean)
}

func (m *Maker) makeVLAN(id nic.ID, d nic.Device, trunk link.Link) error {
	name := id.LinkName(homePrefix)
	v := link.VLAN{Name: name, Parent: trunk.Index, ID: d.Tag, Index: indexOf(id), MAC: d.MAC, MTU: cmp.Or(d.MTU, trunk.MTU)}
	err := m.host.AddVLAN(v)
	if errors.Is(err, link.ErrExists) { // the name, the tag, or by a rare chance the index
		v.Index = 0
		err = m.host.AddVLAN(v)
	}
	switch {
	case errors.Is(err, link.ErrExists):
		return m.whoHas(name, d, trunk)
	case errors.Is(err, link.ErrUnsupported):
		return fmt.Errorf("NICs that are VLANs of a trunk need the kernel's VLANs: load 8021q, or install the node's kernel modules, "+
			"or give the network a card per container (mode: dedicated): %w", err)
	case err != nil:
		return err
	}
	l, err := m.host.ByName(name)
	if err != nil {
		return err
	}
	return m.host.Set(l, link.Change{Alias: new(string(id))})
}

// whoHas says what is in the way of a VLAN.
func (m *Maker) whoHas(name string, d nic.Device, trunk link.Link) error {
	children, err := m.childrenIn(m.host, trunk)
	if err != nil {
		return err
	}
	for _, l := range children {
		switch {
		case l.Kind != link.KindVLAN || l.VLAN != d.Tag:
		case marked(l): // the cloud was quicker than we are
			return fmt.Errorf("VLAN %d of trunk %q is still that of %s, which is being taken back", d.Tag, trunk.Name, l.Alias)
		default:
			return fmt.Errorf("interface %q %w: it is VLAN %d of trunk %q, which the cloud has given to this NIC: remove it", l.Name, ErrForeign, d.Tag, trunk.Name)
		}
	}
	if _, err := m.host.ByName(name); errors.Is(err, link.ErrNotFound) {
		return fmt.Errorf("VLAN %d of trunk %q %w: an interface in another namespace has it; remove that", d.Tag, trunk.Name, ErrForeign)
	}
	return fmt.Errorf("interface %q %w: remove or rename it", name, ErrForeign)
}
