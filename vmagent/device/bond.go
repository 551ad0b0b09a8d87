//go:build linux

package device

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// bondPrefix begins the name under which a bond is made. It gets the container's
// name for it when all members are in.
const bondPrefix = "nb"

// A Member is how one VF of a bond is.
type Member struct {
	PCI   string
	Name  string
	Index int // where it is
	// Joined: it is in the bond. The rest says nothing of one that is not.
	Joined bool
	link.MemberState
}

// Join brings the members of a bond into target and makes the bond there, under the
// name and set up, as far as that is not done. It may be called again after any
// failure. MTU in bytes; 0 is the recipe's. It returns the bond.
//
// No name is taken from another: that is ErrForeign.
func (m *Maker) Join(ctx context.Context, id nic.ID, d nic.Device, target *netns.Namespace, name string, mtu int) (link.Link, error) {
	wrap := func(err error) (link.Link, error) {
		return link.Link{}, fmt.Errorf("join the members of bond %s in %s: %w", id, target.ID(), err)
	}
	err := check(ctx, id, d)
	if err == nil && d.Kind != nic.Bonded {
		err = fmt.Errorf("kind %q is no bond", d.Kind)
	}
	if err == nil && target.ID() == m.host.Namespace().ID() {
		err = errors.New("that is the host's namespace")
	}
	if err != nil {
		return wrap(err)
	}
	inside, err := link.Open(target)
	if err != nil {
		return wrap(err)
	}
	defer inside.Close()
	mtu = cmp.Or(mtu, d.MTU, defaultMTU)
	bond, err := m.ensureBond(id, d, inside, mtu)
	if err != nil {
		return wrap(err)
	}
	for i, part := range Parts(id, d) {
		if err := m.joinMember(ctx, id, part, inside, bond, memberName(id, i)); err != nil {
			return wrap(fmt.Errorf("VF %s: %w", part.VF.PCI, err))
		}
	}
	l, err := m.finishBond(d, inside, bond.Index, name, mtu)
	if err != nil {
		return wrap(err)
	}
	return l, nil
}

// ensureBond finds the bond in the namespace of h, or makes it, down.
func (m *Maker) ensureBond(id nic.ID, d nic.Device, h *link.Handle, mtu int) (link.Link, error) {
	links, err := h.Links()
	if err != nil {
		return link.Link{}, err
	}
	if l, found := m.bondAmong(links, id, d); found {
		return l, nil
	}
	birth := id.LinkName(bondPrefix)
	err = h.AddBond(link.Bond{
		Name: birth, MAC: d.MAC, MTU: mtu, Mode: d.Bond.Mode, Monitor: d.Bond.MonitorOr(),
		// The cards let members send with the MAC that their PFs have for them, and
		// refuse a bond that sets it, even where it is the same.
		FollowMAC: d.Bond.Mode == nic.BondActiveBackup,
	})
	if errors.Is(err, link.ErrUnsupported) {
		return link.Link{}, fmt.Errorf("install the node's kernel modules, or give the network a single VF: %w", err)
	}
	if err != nil {
		return link.Link{}, err
	}
	return h.ByName(birth)
}

// bondAmong finds the bond by its members, whatever its name is, and without any by
// the name that it is made under.
func (m *Maker) bondAmong(links []link.Link, id nic.ID, d nic.Device) (link.Link, bool) {
	masters := map[int]bool{}
	for _, l := range links {
		if l.Master != 0 && slices.ContainsFunc(d.Bond.Members, func(v nic.VF) bool { return v.PCI == m.at(l) }) {
			masters[l.Master] = true
		}
	}
	for _, is := range []func(link.Link) bool{
		func(l link.Link) bool { return masters[l.Index] },
		func(l link.Link) bool { return l.Name == id.LinkName(bondPrefix) },
	} {
		at := slices.IndexFunc(links, func(l link.Link) bool { return l.Bond != nil && is(l) })
		if at >= 0 {
			return links[at], true
		}
	}
	return link.Link{}, false
}

// joinMember has one VF in the bond. Taken in it must be down, and comes up by that.
func (m *Maker) joinMember(ctx context.Context, id nic.ID, d nic.Device, inside *link.Handle, bond link.Link, name string) error {
	at, found, err := m.Locate(ctx, id, d, inside.Namespace())
	if err == nil && !found {
		err = ErrElsewhere
	}
	if err == nil && !at.Home {
		err = m.Follow(ctx, d, inside.Namespace())
	}
	if err != nil || !at.Home && at.Link.Master == bond.Index {
		return err
	}
	if at.Home {
		if err := m.host.DropAltNames(at.Link); err != nil { // they would go along (F34)
			return err
		}
		// One message: it is never there without its bond.
		_, err = m.host.Move(at.Link, inside, link.Change{Name: name, MTU: onlyIf(at.Link.MTU != bond.MTU, bond.MTU), Master: new(bond.Index), Plain: true})
		if err == nil {
			err = m.Follow(ctx, d, inside.Namespace())
		}
		return err
	}
	if at.Link.Up {
		if err := inside.Set(at.Link, link.Change{Up: new(false)}); err != nil {
			return err
		}
	}
	return inside.Set(at.Link, link.Change{Master: new(bond.Index)})
}

func onlyIf(yes bool, n int) int {
	if yes {
		return n
	}
	return 0
}

// finishBond prefers the first member, names the bond and sets it up. Kernels before
// 6.2 refuse a rename while it is up.
func (m *Maker) finishBond(d nic.Device, inside *link.Handle, index int, name string, mtu int) (link.Link, error) {
	l, err := inside.ByIndex(index)
	if err != nil {
		return link.Link{}, err
	}
	if err := m.prefer(d, inside, l); err != nil {
		return link.Link{}, err
	}
	if l.Name != name && l.Up {
		if err := inside.Set(l, link.Change{Up: new(false)}); err != nil {
			return link.Link{}, err
		}
		l.Up = false
	}
	var c link.Change
	changed := !l.Up
	if l.Name != name {
		c.Name, changed = name, true
	}
	if l.MTU != mtu {
		c.MTU, changed = mtu, true
	}
	if l.MAC != d.MAC {
		c.MAC, changed = d.MAC, true
	}
	if !changed {
		return l, nil
	}
	c.Up = new(true)
	err = inside.Set(l, c)
	if errors.Is(err, link.ErrExists) {
		err = fmt.Errorf("interface %q %w: %w", name, ErrForeign, err)
	}
	if err != nil {
		return link.Link{}, err
	}
	return inside.ByIndex(index)
}

// prefer has the bond send by the first member, in the modes that send by one.
func (m *Maker) prefer(d nic.Device, inside *link.Handle, bond link.Link) error {
	switch d.Bond.Mode {
	case nic.BondActiveBackup, nic.BondTLB, nic.BondALB:
	default:
		return nil
	}
	first, found, err := m.functionIn(d.Bond.Members[0].PCI, "")(inside)
	if err != nil || !found || bond.Bond != nil && bond.Bond.Primary == first.Index {
		return err
	}
	return inside.SetPrimary(bond, first.Index)
}

// Part takes a bond apart in one namespace: it is deleted, with what is on top of it, such
// as VLANs, and its members are left there, down. It may be called twice, and where
// there is none.
func (m *Maker) Part(ctx context.Context, id nic.ID, d nic.Device, from *netns.Namespace) error {
	err := check(ctx, id, d)
	if err != nil || d.Kind != nic.Bonded || from.ID() == m.host.Namespace().ID() {
		return err
	}
	wrap := func(err error) error {
		return fmt.Errorf("take bond %s apart in %s: %w", id, from.ID(), err)
	}
	if d.Bond.Members, err = m.owned(id, d.Bond.Members...); err != nil {
		return wrap(err)
	}
	inside, err := link.Open(from)
	if err != nil {
		return wrap(err)
	}
	defer inside.Close()
	for range len(d.Bond.Members) { // a container may have split it
		links, err := inside.Links()
		if err != nil {
			return wrap(err)
		}
		l, found := m.bondAmong(links, id, d)
		if !found {
			return nil
		}
		if err := inside.Delete(l); err != nil {
			return wrap(err)
		}
	}
	return nil
}

// Members says how the members of a bond are, in the recipe's order, where the bond is in
// one of the namespaces. One that is nowhere to be seen has no name.
func (m *Maker) Members(ctx context.Context, id nic.ID, d nic.Device, namespaces ...*netns.Namespace) ([]Member, error) {
	if err := check(ctx, id, d); err != nil {
		return nil, err
	}
	var all []Member
	for _, part := range Parts(id, d) {
		at, found, err := m.Locate(ctx, id, part, namespaces...)
		if err != nil {
			return nil, err
		}
		member := Member{PCI: part.VF.PCI}
		if found {
			member.Name, member.Index = at.Link.Name, at.Link.Index
		}
		if s := at.Link.Member; found && s != nil && !at.Home {
			member.Joined, member.MemberState = true, *s
		}
		all = append(all, member)
	}
	return all, nil
}

// locateBond finds where the bond is. With all members seen and in no bond it is at home,
// and the link is the first member's.
func (m *Maker) locateBond(id nic.ID, d nic.Device, namespaces []*netns.Namespace) (Place, bool, error) {
	if owned, err := m.owned(id, d.Bond.Members...); err != nil || len(owned) < len(d.Bond.Members) {
		return Place{}, false, err
	}
	at, found, err := m.search(namespaces, func(h *link.Handle) (link.Link, bool, error) {
		if h.Namespace().ID() == m.host.Namespace().ID() {
			return link.Link{}, false, nil // there it cannot be of ours
		}
		links, err := h.Links()
		if err != nil {
			return link.Link{}, false, err
		}
		l, found := m.bondAmong(links, id, d)
		return l, found, nil
	})
	if err != nil || found {
		return at, found, err
	}
	for i, v := range slices.Backward(d.Bond.Members) {
		p, found, err := m.search(namespaces, m.functionIn(v.PCI, v.Name))
		if err != nil || !found {
			return Place{}, false, err
		}
		if i == 0 {
			at = Place{Link: p.Link, Namespace: m.host.Namespace(), Home: true}
		}
	}
	return at, true, nil
}
