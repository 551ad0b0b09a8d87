//go:build linux

// Package device makes, finds and removes the NICs that a recipe describes, on
// the node's side.
package device

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// The kinds of error that callers act on.
var (
	// ErrForeign: what is there under our name is not ours, and is left alone.
	ErrForeign = errors.New("is not nicferry's")
	// ErrElsewhere: the NIC is in a namespace that was not searched.
	ErrElsewhere = errors.New("NIC is in another namespace")
)

// The names of links that we make, before the digits of the NIC's id.
const (
	hostPrefix = "nf" // the end of a veth that stays on the host
	homePrefix = "nt" // any NIC while it is in the host namespace
)

// What to take as the MTU of a NIC at birth, where the recipe says nothing:
// the kernel's for Ethernet.
const defaultMTU = 1500

// maxTag is the highest number of a VLAN.
const maxTag = 4094

// A Maker works by recipes in the host namespace. All methods may be called
// from several goroutines, for different NICs.
type Maker struct {
	host *link.Handle
	// shared is held while a port is added to a bridge or a seat to its parent,
	// and while one that is empty is removed or set down.
	shared sync.Mutex
	// functions sets virtual functions; nil where the agent has been given none.
	functions Functions
	// rdma moves RDMA devices; nil where they stay.
	rdma RDMA
	// at is where on the bus a link's device is.
	at func(link.Link) string
	// virtual says whether a PCI function is a virtual one.
	virtual func(pci string) bool
}

// New opens a maker. host must stay open until Close.
func New(host *netns.Namespace) (*Maker, error) {
	h, err := link.Open(host)
	if err != nil {
		return nil, err
	}
	return &Maker{host: h, at: func(l link.Link) string { return l.PCI }, virtual: func(string) bool { return false }}, nil
}

// Messages says what the maker has sent to the kernel so far, for tests.
func (m *Maker) Messages() link.Messages { return m.host.Messages() }

// Close lets go of what New opened. What was made stays.
func (m *Maker) Close() error {
	m.host.Close()
	return nil
}

// Ensure makes the NIC, finishes one that was half made, and puts right what
// is not as the recipe says on the host's side. A NIC that is in one of the
// namespaces is left as it is. It makes nothing for a NIC of kind Found.
// Something that is there in the NIC's place and is not ours is ErrForeign. A seat
// or a VLAN whose parent is not plugged in yet is [hotplug.ErrNotFound].
func (m *Maker) Ensure(ctx context.Context, id nic.ID, d nic.Device, namespaces ...*netns.Namespace) error {
	if err := check(ctx, id, d); err != nil {
		return err
	}
	var err error
	switch d.Kind {
	case nic.Veth:
		err = m.ensureVeth(id, d)
	case nic.Macvlan:
		err = m.ensureMacvlan(ctx, id, d, namespaces)
	case nic.Ipvlan:
		err = m.ensureIpvlan(ctx, id, d, namespaces)
	case nic.VLAN:
		err = m.ensureVLAN(ctx, id, d, namespaces)
	case nic.SRIOV, nic.Bonded:
		err = m.ensureFunctions(ctx, id, d, namespaces)
	}
	if err != nil {
		return fmt.Errorf("make %s %s: %w", d.Kind, id, err)
	}
	return nil
}

// Remove removes what was made for the NIC, wherever a veth hides and from
// the host or one of the namespaces if it is a macvlan, ipvlan or VLAN, and an owned
// bridge with its last NIC; the parent of ipvlans or VLANs is set down after the last. What is gone already is no error; what is not ours is
// left alone.
func (m *Maker) Remove(ctx context.Context, id nic.ID, d nic.Device, namespaces ...*netns.Namespace) error {
	if err := check(ctx, id, d); err != nil {
		return err
	}
	var err error
	switch d.Kind {
	case nic.Veth:
		err = m.removeVeth(id, d)
	case nic.Macvlan:
		err = m.removeChild(ctx, id, d, namespaces)
	case nic.Ipvlan, nic.VLAN:
		err = m.removeSeat(ctx, id, d, namespaces)
	case nic.SRIOV, nic.Bonded:
		err = m.removeFunctions(ctx, id, d, namespaces)
	}
	if err != nil {
		return fmt.Errorf("remove %s %s: %w", d.Kind, id, err)
	}
	return nil
}

// Clean is what the NIC is like in the host namespace between two containers.
// It has all that a container could have changed.
func (m *Maker) Clean(id nic.ID, d nic.Device) (link.Change, error) {
	name := id.LinkName(homePrefix)
	if d.Kind == nic.SRIOV && d.VF.Name != "" {
		taken, err := m.isTaken(d.VF)
		if err != nil {
			return link.Change{}, err
		}
		if !taken {
			name = d.VF.Name
		}
	}
	return m.cleanAs(name, id, d)
}

// cleanAs is Clean of a NIC that goes by the name.
func (m *Maker) cleanAs(name string, id nic.ID, d nic.Device) (link.Change, error) {
	c := link.Change{
		Name:  name,
		MAC:   d.MAC,
		MTU:   d.MTU,
		Alias: new(""),
		Up:    new(false),
		Plain: true,
	}
	if onParent(d) {
		c.Alias = new(string(id))
	}
	if onParent(d) && c.MTU == 0 || d.Kind == nic.Ipvlan {
		parent, err := m.parent(d)
		if err != nil {
			return link.Change{}, err
		}
		c.MTU = cmp.Or(c.MTU, parent.MTU)
		if d.Kind == nic.Ipvlan {
			c.MAC = parent.MAC // whatever that is now: it goes with it
		}
	}
	c.MTU = cmp.Or(c.MTU, defaultMTU)
	return c, nil
}

// A Leftover is a device in the host namespace that carries a NIC's id.
type Leftover struct {
	ID   nic.ID
	Name string
}

// Leftovers lists the NICs that have a device in the host namespace, each
// once. For a veth that is so wherever its other end is.
func (m *Maker) Leftovers(ctx context.Context) ([]Leftover, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	links, err := m.host.Links()
	if err != nil {
		return nil, err
	}
	seen := map[nic.ID]bool{}
	var out []Leftover
	for _, l := range links {
		id, err := nic.ParseID(l.Alias)
		if err != nil || seen[id] {
			continue
		}
		seen[id] = true
		out = append(out, Leftover{ID: id, Name: l.Name})
	}
	return out, nil
}

func check(ctx context.Context, id nic.ID, d nic.Device) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := nic.ParseID(string(id)); err != nil {
		return err
	}
	if d.MAC.IsZero() {
		return fmt.Errorf("recipe of %s: has no MAC", id)
	}
	switch d.Kind {
	case nic.Found, nic.Ipvlan:
		return nil
	case nic.VLAN:
		if d.Trunk.IsZero() || d.Tag < 1 || d.Tag > maxTag {
			return fmt.Errorf("recipe of %s: VLAN %d of trunk %q: want 1 to %d, and the trunk's MAC", id, d.Tag, d.Trunk, maxTag)
		}
		return nil
	case nic.Veth:
		if err := nic.CheckInterfaceName(d.Bridge.Name); err != nil {
			return fmt.Errorf("recipe of %s: bridge: %w", id, err)
		}
		return nil
	case nic.Macvlan:
		if err := nic.CheckInterfaceName(d.Parent); err != nil {
			return fmt.Errorf("recipe of %s: parent: %w", id, err)
		}
		return nil
	case nic.SRIOV, nic.Bonded:
		if err := checkFunctions(d); err != nil {
			return fmt.Errorf("recipe of %s: %w", id, err)
		}
		return nil
	}
	return fmt.Errorf("recipe of %s: kind %q is unknown to this agent", id, d.Kind)
}
