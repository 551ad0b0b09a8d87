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

// Functions sets virtual functions by their physical ones, for one owner at a time;
// a vf.Setter does.
type Functions interface {
	// Take makes the NIC the VF's owner and says how it was set before, changing nothing.
	Take(ctx context.Context, owner nic.ID, v nic.VF) (nic.VFWas, error)
	// Apply sets it by the recipe, which must say how it was before.
	Apply(ctx context.Context, owner nic.ID, v nic.VF) error
	// Heed has the VF's interface, which is home, down and under no other, take its
	// MAC. It may be another one afterwards.
	Heed(ctx context.Context, owner nic.ID, v nic.VF) (rebound bool, err error)
	// Restore sets it back, unless another has it by now. It is an error while whoever had
	// it has it still.
	Restore(ctx context.Context, owner nic.ID, v nic.VF) error
	// Differs says what of it is not as the recipe says, and sets nothing.
	Differs(ctx context.Context, owner nic.ID, v nic.VF) error
	// Owned says whether owner has it: it may touch nobody else's.
	Owned(owner nic.ID, v nic.VF) (bool, error)
}

// A Finder is Functions that know where on the bus a link's device is, where the
// kernel does not say it.
type Finder interface{ At(l link.Link) string }

// A Knower is Functions that know which PCI functions are virtual.
type Knower interface{ Virtual(pci string) bool }

// UseFunctions gives the maker what sets virtual functions, before its first use. It
// may be a Finder and a Knower too. Without it such recipes are refused.
func (m *Maker) UseFunctions(f Functions) {
	m.functions = f
	if finder, ok := f.(Finder); ok {
		m.at = finder.At
	}
	if knower, ok := f.(Knower); ok {
		m.virtual = knower.Virtual
	}
}

// Former makes the NIC the owner of its virtual functions and says how they were
// set before, in the recipe's order. The controller has to have that before Ensure
// sets anything. Asked again it says the same.
func (m *Maker) Former(ctx context.Context, id nic.ID, d nic.Device) ([]nic.VFWas, error) {
	if err := check(ctx, id, d); err != nil {
		return nil, err
	}
	if err := m.canSet(); err != nil {
		return nil, err
	}
	var all []nic.VFWas
	for _, part := range Parts(id, d) {
		was, err := m.functions.Take(ctx, id, part.VF)
		if err != nil {
			return nil, fmt.Errorf("look at the former settings of %s: %w", id, err)
		}
		all = append(all, was)
	}
	return all, nil
}

func (m *Maker) canSet() error {
	if m.functions == nil {
		return errors.New("this agent does not set virtual functions: it needs a kernel and a /sys with PCI")
	}
	return nil
}

// Parts are the recipes of the virtual functions of a NIC: one, or each member of a
// bond, with a name of its own on the host.
func Parts(id nic.ID, d nic.Device) []nic.Device {
	if d.Kind != nic.Bonded {
		return []nic.Device{d}
	}
	parts := make([]nic.Device, len(d.Bond.Members))
	for i, v := range d.Bond.Members {
		if v.Name == "" {
			v.Name = memberName(id, i)
		}
		parts[i] = nic.Device{Kind: nic.SRIOV, MAC: v.Set.MAC, MTU: d.MTU, VF: v}
	}
	return parts
}

// memberName is the name of a bond's member, of as many bytes as the kernel allows.
func memberName(id nic.ID, i int) string { return id.LinkName(homePrefix) + string(rune('a'+i)) }

func checkFunctions(d nic.Device) error {
	if d.Kind == nic.Bonded {
		return errors.Join(d.Bond.Check(d.MAC), checkUserSpace(d))
	}
	err := d.VF.Check()
	if d.VF.Set.MAC != d.MAC {
		err = errors.Join(err, fmt.Errorf("VF %s: its MAC is %q, and the NIC's %q", d.VF.PCI, d.VF.Set.MAC, d.MAC))
	}
	return err
}

// ensureFunctions sets all VFs, and has those that are home ready to be taken in.
func (m *Maker) ensureFunctions(ctx context.Context, id nic.ID, d nic.Device, namespaces []*netns.Namespace) error {
	if err := m.canSet(); err != nil {
		return err
	}
	for _, part := range Parts(id, d) {
		if err := m.ensureFunction(ctx, id, part, namespaces); err != nil {
			return err
		}
	}
	return nil
}

func (m *Maker) ensureFunction(ctx context.Context, id nic.ID, d nic.Device, namespaces []*netns.Namespace) error {
	if !d.VF.UserSpace { // else its RDMA device goes with its driver
		if err := m.refuseSharedRDMA(d.VF.PCI); err != nil {
			return err
		}
	}
	if err := m.functions.Apply(ctx, id, d.VF); err != nil || d.VF.UserSpace {
		return err
	}
	at, found, err := m.search(namespaces, m.functionIn(d.VF.PCI, d.VF.Name)) // it is the NIC's, Apply says
	if err != nil || found && !at.Home {
		return err
	}
	if !found { // its driver may be off, as a crash of ours leaves it
		if _, err := m.functions.Heed(ctx, id, d.VF); err != nil {
			return fmt.Errorf("VF %s: see who has it, or bind its network driver: %w: %w", d.VF.PCI, ErrElsewhere, err)
		}
		if at, found, err = m.Locate(ctx, id, d); err != nil || !found {
			return errors.Join(err, fmt.Errorf("VF %s has no interface in the host's namespace: %w", d.VF.PCI, ErrElsewhere))
		}
	}
	l := at.Link
	if l.Master != 0 {
		return fmt.Errorf("VF %s: interface %q %w: it is a port of %s", d.VF.PCI, l.Name, ErrForeign, m.nameOf(l.Master))
	}
	if l.Up { // a network manager's doing (F36)
		if err := m.host.Set(l, link.Change{Up: new(false)}); err != nil {
			return err
		}
	}
	rebound := false
	if l.MAC != d.VF.Set.MAC {
		if rebound, err = m.functions.Heed(ctx, id, d.VF); err != nil {
			return err
		}
	}
	if rebound {
		if l, found, err = m.functionIn(d.VF.PCI, d.VF.Name)(m.host); err != nil || !found {
			return errors.Join(err, fmt.Errorf("VF %s went away: %w", d.VF.PCI, ErrElsewhere))
		}
	}
	clean, err := m.cleanFunction(id, d, l)
	if err != nil {
		return err
	}
	// One that came home by itself, with its container's end, has that one's settings.
	clean.Tuning = new(l.Untuned())
	if l.Name == clean.Name && l.MTU == clean.MTU && l.Alias == *clean.Alias && !l.Up && !l.Promisc && !l.AllMulti &&
		l.Tuning == *clean.Tuning && !l.XDP.Any() {
		return nil
	}
	if err := m.host.DropXDP(l); err != nil {
		return err
	}
	clean.MAC = nic.MAC{} // its PF's to say
	if l.MTU == clean.MTU {
		clean.MTU = 0
	}
	if l.HasName(clean.Name) && l.Name != clean.Name { // as an alternative name of its own (F34)
		if err := m.host.DropAltNames(l); err != nil {
			return err
		}
	}
	return m.host.Set(l, clean)
}

// removeFunctions sets all VFs back, and brings those home that are in one of the
// namespaces. All are tried, whatever fails.
func (m *Maker) removeFunctions(ctx context.Context, id nic.ID, d nic.Device, namespaces []*netns.Namespace) error {
	if err := m.canSet(); err != nil {
		return err
	}
	var faults []error
	if d.Kind == nic.Bonded {
		for _, ns := range namespaces {
			faults = append(faults, m.Part(ctx, id, d, ns))
		}
	}
	for _, part := range Parts(id, d) {
		err := m.bringHome(ctx, id, part, namespaces)
		if err == nil { // until then its VLAN and spoof check hold
			err = m.functions.Restore(ctx, id, part.VF)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// bringHome moves a VF's interface out of the namespace that it is in.
func (m *Maker) bringHome(ctx context.Context, id nic.ID, d nic.Device, namespaces []*netns.Namespace) error {
	at, found, err := m.Locate(ctx, id, d, namespaces...)
	if err != nil || !found || at.Home {
		return err
	}
	clean, err := m.Clean(id, d)
	if err != nil {
		return err
	}
	inside, err := link.Open(at.Namespace)
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := m.Precede(ctx, d, at.Link, at.Namespace); err != nil {
		return err
	}
	if err := inside.DropAltNames(at.Link); err != nil {
		return err
	}
	clean.MAC = nic.MAC{}
	_, err = inside.Move(at.Link, m.host, clean)
	return err
}

// isTaken says whether another interface of the host has the VF's name, as after somebody
// has renamed both (F37). The VF goes by one that is made up then: it is known by its place
// on the bus.
func (m *Maker) isTaken(v nic.VF) (bool, error) {
	l, err := m.host.ByName(v.Name)
	if errors.Is(err, link.ErrNotFound) {
		return false, nil
	}
	return err == nil && m.at(l) != v.PCI, err
}

// cleanFunction is Clean of a VF whose interface is l, at home. It asks nobody for the name
// that the interface has.
func (m *Maker) cleanFunction(id nic.ID, d nic.Device, l link.Link) (link.Change, error) {
	if d.VF.Name != "" && l.Name == d.VF.Name {
		return m.cleanAs(l.Name, id, d)
	}
	return m.Clean(id, d)
}

// functionIn finds the interface of a PCI function. At home it is first looked for by the
// name that it should have there, if any: one message, and not a list of all links.
func (m *Maker) functionIn(pci, name string) func(*link.Handle) (link.Link, bool, error) {
	return func(h *link.Handle) (link.Link, bool, error) {
		if h == m.host && name != "" {
			if l, err := h.ByName(name); err == nil && m.at(l) == pci {
				return l, true, nil
			}
		}
		links, err := h.Links()
		if err != nil {
			return link.Link{}, false, err
		}
		for _, l := range links {
			if m.at(l) == pci {
				return l, true, nil
			}
		}
		return link.Link{}, false, nil
	}
}
