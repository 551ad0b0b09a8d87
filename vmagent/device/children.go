//go:build linux

package device

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/hotplug"
)

// DropSiblings removes what a dead container made, in its namespace, on the
// parent of its macvlan, ipvlan or VLAN: the kernel puts one on such a link beside it.
// The NICs that are ours stay. It does nothing for other kinds.
func (m *Maker) DropSiblings(ctx context.Context, d nic.Device, dead *netns.Namespace) error {
	if !onParent(d) || ctx.Err() != nil {
		return ctx.Err()
	}
	parent, err := m.parent(d)
	if errors.Is(err, link.ErrNotFound) || errors.Is(err, hotplug.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = m.dropOn(parent, dead, func(l link.Link) bool {
			return marked(l) && l.Index == indexOf(nic.ID(l.Alias))
		})
	}
	if err != nil {
		return fmt.Errorf("remove links beside those of %s from %s: %w", d.MAC, dead.ID(), err)
	}
	return nil
}

// DropChildren removes what rides on l, a link of the host namespace, in the
// other namespaces. The kernel leaves a VLAN or macvlan on its parent when
// that moves, and the next container's traffic would reach the last one.
func (m *Maker) DropChildren(l link.Link, namespaces ...*netns.Namespace) error {
	for _, ns := range namespaces {
		if err := m.dropOn(l, ns, func(link.Link) bool { return false }); err != nil {
			return fmt.Errorf("remove links on %q from %s: %w", l.Name, ns.ID(), err)
		}
	}
	return nil
}

func (m *Maker) dropOn(parent link.Link, ns *netns.Namespace, spare func(link.Link) bool) error {
	h, err := link.Open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	children, err := m.childrenIn(h, parent)
	if err != nil {
		return err
	}
	for _, l := range children {
		if spare(l) {
			continue
		}
		if err := h.Delete(l); err != nil {
			return err
		}
	}
	return nil
}

// childrenIn lists what rides, in the namespace of h, on a link of the host's.
func (m *Maker) childrenIn(h *link.Handle, parent link.Link) (children []link.Link, err error) {
	all, err := h.Links()
	if err != nil {
		return nil, err
	}
	host := link.SameNamespace
	if h.Namespace().ID() != m.host.Namespace().ID() {
		// After the listing, which makes the kernel number the namespaces that
		// it has to name there.
		if host, err = h.NSID(m.host.Namespace()); err != nil || host == link.SameNamespace {
			return nil, err // nothing there refers to the host
		}
	}
	for _, l := range all {
		// A veth names its peer in the place of a parent, hardware itself.
		itself := host == link.SameNamespace && l.Index == parent.Index
		if l.ParentIndex == parent.Index && l.ParentNSID == host && l.Kind != link.KindVeth && !itself {
			children = append(children, l)
		}
	}
	return children, nil
}
