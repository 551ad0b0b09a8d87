//go:build linux

package device

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

func (m *Maker) ensureVeth(id nic.ID, d nic.Device) error {
	m.shared.Lock()
	defer m.shared.Unlock()
	bridge, err := m.ensureBridge(d.Bridge)
	if err != nil {
		return err
	}
	end, found, err := m.hostEnd(id, d)
	if err != nil {
		return err
	}
	if !found {
		if end, err = m.makePair(id, d, bridge); err != nil {
			return err
		}
	}
	if err := m.fixHostEnd(id, d, end, bridge); err != nil {
		return err
	}
	return m.fixInnerEnd(id, d, end)
}

func (m *Maker) makePair(id nic.ID, d nic.Device, bridge link.Link) (link.Link, error) {
	err := m.host.AddPair(link.Pair{
		Name: id.LinkName(hostPrefix), MAC: hostEndMAC(d.MAC),
		PeerName: id.LinkName(homePrefix), PeerMAC: d.MAC,
		MTU: d.MTU, Master: bridge.Index,
	})
	if errors.Is(err, link.ErrExists) {
		return link.Link{}, fmt.Errorf("%w: interface %q %w: remove or rename it",
			err, id.LinkName(homePrefix), ErrForeign)
	}
	if err != nil {
		return link.Link{}, err
	}
	end, err := m.host.ByName(id.LinkName(hostPrefix))
	if err == nil {
		// Now it costs no traffic. A kernel without this is told of by Guard, and
		// does well for NICs without one.
		_ = m.host.AddFilterPlace(end)
	}
	return end, err
}

// hostEndMAC is higher than nearly all others: a bridge that has no MAC of its
// own takes the lowest of its ports, and must not change it for ours. It is never
// the container's own: the bridge would keep all frames to it.
func hostEndMAC(inner nic.MAC) nic.MAC {
	const high = 0xfe
	if inner[0] == high {
		inner[1] ^= 0xff
	}
	inner[0] = high
	return inner
}

// fixHostEnd looks at what is, and not at what an earlier run meant to do.
func (m *Maker) fixHostEnd(id nic.ID, d nic.Device, end, bridge link.Link) error {
	var c link.Change
	changed := false
	if end.Alias != string(id) {
		// New, or half made. The kernel would give a port IPv6 addresses, and
		// announce them into the container.
		c.Alias, c.NoIPv6Auto, changed = new(string(id)), true, true
	}
	if end.Name != id.LinkName(hostPrefix) {
		c.Name, changed = id.LinkName(hostPrefix), true
	}
	if end.MAC == d.MAC {
		c.MAC, changed = hostEndMAC(d.MAC), true
	}
	if end.Master != bridge.Index {
		c.Master, changed = new(bridge.Index), true
	}
	if d.MTU != 0 && end.MTU != d.MTU {
		c.MTU, changed = d.MTU, true
	}
	if changed {
		if err := m.host.Set(end, c); err != nil {
			return err
		}
	}
	if end.Up {
		return nil
	}
	return m.host.Set(end, link.Change{Up: new(true)})
}

// fixInnerEnd finishes what an earlier run left half done. It touches the
// inner end only in the host namespace.
func (m *Maker) fixInnerEnd(id nic.ID, d nic.Device, end link.Link) error {
	if end.ParentNSID != link.SameNamespace {
		return nil
	}
	inner, err := m.host.ByIndex(end.ParentIndex)
	if err != nil {
		return err
	}
	clean, err := m.Clean(id, d)
	if err != nil {
		return err
	}
	same := inner.Name == clean.Name && inner.MAC == clean.MAC && inner.MTU == clean.MTU && !inner.Up && inner.Master == 0
	if same {
		return nil
	}
	clean.Master = new(0)
	return m.host.Set(inner, clean)
}

// hostEnd finds the NIC's end on the host. By name first, because that is one
// message; somebody may have renamed it, so by alias then.
func (m *Maker) hostEnd(id nic.ID, d nic.Device) (end link.Link, found bool, err error) {
	name := id.LinkName(hostPrefix)
	end, err = m.host.ByName(name)
	if err == nil {
		// One without alias was made a moment before a crash, if it has the MAC
		// that it was made with.
		ours := end.Alias == string(id) || end.Alias == "" && end.MAC == hostEndMAC(d.MAC)
		if end.Name == name && end.Kind == link.KindVeth && ours {
			return end, true, nil
		}
		return link.Link{}, false, fmt.Errorf("interface %q %w (kind %q, alias %q, MAC %s): remove or rename it",
			name, ErrForeign, end.Kind, end.Alias, end.MAC)
	}
	if !errors.Is(err, link.ErrNotFound) {
		return link.Link{}, false, err
	}
	marked, err := m.host.ByAlias(string(id))
	if err != nil {
		return link.Link{}, false, err
	}
	if len(marked) == 0 {
		return link.Link{}, false, nil
	}
	l := marked[0]
	if l.Kind != link.KindVeth {
		return link.Link{}, false, fmt.Errorf("interface %q has the alias of %s and %w (kind %q): remove its alias",
			l.Name, id, ErrForeign, l.Kind)
	}
	return l, true, nil
}

// removeVeth deletes the end on the host: the other goes with it, whichever
// namespace it hides in.
func (m *Maker) removeVeth(id nic.ID, d nic.Device) error {
	end, found, err := m.hostEnd(id, d)
	if err != nil {
		return err
	}
	if found {
		if err := m.host.Delete(end); err != nil {
			return err
		}
	}
	return m.dropBridge(d.Bridge)
}

// Remake replaces a veth whose inner end is in a namespace that nobody can
// find: with the end on the host the other goes, wherever it hides. Other
// kinds, and a NIC that is gone, are left to Ensure.
func (m *Maker) Remake(ctx context.Context, id nic.ID, d nic.Device) error {
	if err := check(ctx, id, d); err != nil {
		return err
	}
	if d.Kind != nic.Veth {
		return nil
	}
	end, found, err := m.hostEnd(id, d)
	if err == nil && found {
		err = m.host.Delete(end)
	}
	if err == nil {
		err = m.ensureVeth(id, d)
	}
	if err != nil {
		return fmt.Errorf("remake %s %s: %w", d.Kind, id, err)
	}
	return nil
}
