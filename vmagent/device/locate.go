//go:build linux

package device

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/hotplug"
)

// A Place is where a NIC is: the end of it that goes into a container.
type Place struct {
	Link link.Link
	// Namespace is that of the link, as it was given to Locate.
	Namespace *netns.Namespace
	// Home: it is the host namespace.
	Home bool
}

// Locate finds the NIC in the host namespace or in one of the others, by what
// a container cannot change: a veth by its end on the host, a macvlan, ipvlan or VLAN by
// its parent and then its index, alias or MAC, a Found NIC by its permanent MAC,
// virtual functions by their PCI addresses. A bond is where its members are joined, and
// at home while they are not. A veth in a namespace that was not given is
// ErrElsewhere; any other NIC there is just not found.
func (m *Maker) Locate(ctx context.Context, id nic.ID, d nic.Device, namespaces ...*netns.Namespace) (at Place, found bool, err error) {
	if err := check(ctx, id, d); err != nil {
		return Place{}, false, err
	}
	switch d.Kind {
	case nic.Veth:
		at, found, err = m.locateVeth(id, d, namespaces)
	case nic.Macvlan, nic.Ipvlan, nic.VLAN:
		at, found, err = m.search(namespaces, m.childIn(id, d))
	case nic.SRIOV:
		at, found, err = m.locateFunction(id, d, namespaces)
	case nic.Bonded:
		at, found, err = m.locateBond(id, d, namespaces)
	default:
		at, found, err = m.search(namespaces, foundIn(id, d))
	}
	if err != nil {
		return Place{}, false, fmt.Errorf("locate %s %s: %w", d.Kind, id, err)
	}
	return at, found, nil
}

// locateFunction looks for a virtual function. One that is not the NIC's, such as before
// its former settings are known or after they are set back, is found nowhere: whoever has
// it then, in whatever namespace, is let alone (F39).
func (m *Maker) locateFunction(id nic.ID, d nic.Device, namespaces []*netns.Namespace) (Place, bool, error) {
	if owned, err := m.owned(id, d.VF); err != nil || len(owned) == 0 {
		return Place{}, false, err
	}
	return m.search(namespaces, m.functionIn(d.VF.PCI, d.VF.Name))
}

// locateVeth asks the end on the host for its peer. The kernel names the
// peer's index and the number of its namespace, and these two are exact.
func (m *Maker) locateVeth(id nic.ID, d nic.Device, namespaces []*netns.Namespace) (Place, bool, error) {
	if at, found, err := m.vethAtHome(id); err != nil || found {
		return at, found, err
	}
	end, found, err := m.hostEnd(id, d)
	if err != nil || !found {
		return Place{}, false, err
	}
	if end.ParentNSID == link.SameNamespace {
		inner, err := m.host.ByIndex(end.ParentIndex)
		return m.verified(Place{Link: inner, Namespace: m.host.Namespace(), Home: true}, end, err)
	}
	for _, ns := range namespaces {
		nsid, err := m.host.NSID(ns)
		if err != nil {
			return Place{}, false, err
		}
		if nsid != end.ParentNSID {
			continue
		}
		h, err := link.Open(ns)
		if err != nil {
			return Place{}, false, err
		}
		defer h.Close()
		inner, err := h.ByIndex(end.ParentIndex)
		return m.verified(Place{Link: inner, Namespace: ns}, end, err)
	}
	return Place{}, false, fmt.Errorf("%w: peer of %q, number %d", ErrElsewhere, end.Name, end.ParentNSID)
}

// vethAtHome looks first where it costs one message: most are looked for to be
// brought in. What is not as we leave it is for locateVeth.
func (m *Maker) vethAtHome(id nic.ID) (Place, bool, error) {
	name := id.LinkName(homePrefix)
	end, err := m.host.IndexOf(id.LinkName(hostPrefix))
	if err == nil {
		_, err = m.host.IndexOf(name)
	}
	var inner link.Link
	if err == nil {
		inner, err = m.host.ByName(name)
	}
	if errors.Is(err, link.ErrNotFound) {
		return Place{}, false, nil
	}
	ours := err == nil && inner.Name == name && inner.Kind == link.KindVeth &&
		inner.ParentNSID == link.SameNamespace && inner.ParentIndex == end
	return Place{Link: inner, Namespace: m.host.Namespace(), Home: true}, ours, err
}

// verified checks that the link points back. It may have moved on, or died,
// between two looks; that is for the caller to look at again.
func (m *Maker) verified(at Place, end link.Link, err error) (Place, bool, error) {
	if errors.Is(err, link.ErrNotFound) {
		return Place{}, false, fmt.Errorf("%w: peer of %q moved while we looked", ErrElsewhere, end.Name)
	}
	if err != nil {
		return Place{}, false, err
	}
	if at.Link.Kind != link.KindVeth || at.Link.ParentIndex != end.Index {
		return Place{}, false, fmt.Errorf("%w: link %q is not the peer of %q", ErrElsewhere, at.Link.Name, end.Name)
	}
	return at, true, nil
}

// search looks for the NIC in the host namespace first, then in the others.
func (m *Maker) search(namespaces []*netns.Namespace, find func(h *link.Handle) (link.Link, bool, error)) (Place, bool, error) {
	l, found, err := find(m.host)
	if err != nil || found {
		return Place{Link: l, Namespace: m.host.Namespace(), Home: true}, found, err
	}
	for _, ns := range namespaces {
		if ns.ID() == m.host.Namespace().ID() {
			continue
		}
		h, err := link.Open(ns)
		if err != nil {
			return Place{}, false, err
		}
		l, found, err := find(h)
		h.Close()
		if err != nil || found {
			return Place{Link: l, Namespace: ns}, found, err
		}
	}
	return Place{}, false, nil
}

func foundIn(id nic.ID, d nic.Device) func(*link.Handle) (link.Link, bool, error) {
	return func(h *link.Handle) (link.Link, bool, error) {
		links, err := h.Links()
		if err != nil {
			return link.Link{}, false, err
		}
		l, err := hotplug.Pick(links, d.MAC)
		if !errors.Is(err, hotplug.ErrNotFound) {
			return l, err == nil, err
		}
		// A driver without a permanent MAC, and a container that changed the other.
		for _, l := range links {
			if l.Alias == string(id) && l.PermMAC.IsZero() && (l.Kind == "" || l.Kind == link.KindVeth) {
				return l, true, nil
			}
		}
		return link.Link{}, false, nil
	}
}

func (m *Maker) childIn(id nic.ID, d nic.Device) func(*link.Handle) (link.Link, bool, error) {
	return func(h *link.Handle) (link.Link, bool, error) {
		parent, err := m.parent(d)
		if errors.Is(err, link.ErrNotFound) || errors.Is(err, hotplug.ErrNotFound) {
			return link.Link{}, false, nil // what was on it went with it
		}
		if err != nil {
			return link.Link{}, false, err
		}
		children, err := m.childrenIn(h, parent)
		if err != nil {
			return link.Link{}, false, err
		}
		children = slices.DeleteFunc(children, func(l link.Link) bool { return l.Kind != string(d.Kind) })
		l, found := ownChild(children, id, d)
		return l, found, nil
	}
}

// ownChild picks the NIC among the links on its parent: by the index that it was
// born with, which a container cannot change in place; by the alias, which only we
// write unless the container is hostile; and without either it is half made if it
// has our MAC, or the name where all have one MAC.
func ownChild(children []link.Link, id nic.ID, d nic.Device) (link.Link, bool) {
	for _, is := range []func(link.Link) bool{
		func(l link.Link) bool { return l.Index == indexOf(id) },
		func(l link.Link) bool { return l.Alias == string(id) },
		func(l link.Link) bool {
			return !marked(l) && (d.Kind.OwnMAC() && l.MAC == d.MAC || l.Name == id.LinkName(homePrefix))
		},
	} {
		if at := slices.IndexFunc(children, is); at >= 0 {
			return children[at], true
		}
	}
	return link.Link{}, false
}

// marked says whether the link carries the id of a NIC.
func marked(l link.Link) bool {
	_, err := nic.ParseID(l.Alias)
	return err == nil
}
