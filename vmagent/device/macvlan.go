//go:build linux

package device

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// onParent says whether the NIC is a link on a parent that stays on the host.
func onParent(d nic.Device) bool {
	return d.Kind == nic.Macvlan || d.Kind == nic.Ipvlan || d.Kind == nic.VLAN
}

func (m *Maker) parent(d nic.Device) (link.Link, error) {
	if d.Kind == nic.Ipvlan && d.Parent == "" || d.Kind == nic.VLAN {
		return m.plugged(d)
	}
	p, err := m.host.ByName(d.Parent)
	if errors.Is(err, link.ErrNotFound) {
		return p, fmt.Errorf("parent interface %q does not exist on this node: %w", d.Parent, err)
	}
	return p, err
}

// parentUp is the parent, on the host, of a link that is to be made.
func (m *Maker) parentUp(d nic.Device) (link.Link, error) {
	p, err := m.parent(d)
	if err == nil && !p.Up {
		return p, fmt.Errorf("parent interface %q is down: set it up", d.Parent)
	}
	return p, err
}

func (m *Maker) ensureMacvlan(ctx context.Context, id nic.ID, d nic.Device, namespaces []*netns.Namespace) error {
	at, found, err := m.Locate(ctx, id, d, namespaces...)
	if err != nil {
		return err
	}
	if !found {
		return m.makeMacvlan(id, d)
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
	parent, err := m.parent(d)
	if err == nil {
		err = fits(d, parent)
	}
	if err != nil {
		return err
	}
	return m.host.Set(l, clean)
}

// fits says in words what the kernel would call an invalid argument.
func fits(d nic.Device, parent link.Link) error {
	if d.MTU > parent.MTU {
		return fmt.Errorf("MTU %d of the network is above the %d of its parent interface %q: lower the one or raise the other", d.MTU, parent.MTU, parent.Name)
	}
	return nil
}

func (m *Maker) makeMacvlan(id nic.ID, d nic.Device) error {
	parent, err := m.parentUp(d)
	if err != nil {
		return err
	}
	if err := fits(d, parent); err != nil {
		return err
	}
	name := id.LinkName(homePrefix)
	mv := link.Macvlan{Name: name, Parent: parent.Index, Index: indexOf(id), MAC: d.MAC, MTU: d.MTU}
	err = m.host.AddMacvlan(mv)
	if errors.Is(err, link.ErrExists) { // the name, or by a rare chance the index
		mv.Index = 0
		err = m.host.AddMacvlan(mv)
	}
	switch {
	case errors.Is(err, link.ErrExists):
		return fmt.Errorf("interface %q %w: remove or rename it", name, ErrForeign)
	case errors.Is(err, link.ErrBusy):
		return fmt.Errorf("card %q carries ipvlans, or is a port of a bridge or bond, and the kernel lets it have macvlans only without: "+
			"remove those, or give all that use it one kind: %w", parent.Name, err)
	case err != nil:
		return err
	}
	l, err := m.host.ByName(name)
	if err != nil {
		return err
	}
	return m.host.Set(l, link.Change{Alias: new(string(id))})
}

// indexOf is the index that a macvlan is born with. The kernel keeps it over
// moves, and no container can change it in place. It is derived from the id and
// far above those that the kernel deals out.
func indexOf(id nic.ID) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return 1<<30 | int(h.Sum32()&(1<<30-1))
}

// removeChild deletes a macvlan, an ipvlan or a VLAN.
func (m *Maker) removeChild(ctx context.Context, id nic.ID, d nic.Device, namespaces []*netns.Namespace) error {
	at, found, err := m.Locate(ctx, id, d, namespaces...)
	if err != nil || !found {
		return err
	}
	if at.Home {
		return m.host.Delete(at.Link)
	}
	inside, err := link.Open(at.Namespace)
	if err != nil {
		return err
	}
	defer inside.Close()
	return inside.Delete(at.Link)
}
