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
)

// Differs says what of a NIC's virtual functions is not set as the recipe says; nil for
// other kinds. Ensure mends it.
func (m *Maker) Differs(ctx context.Context, id nic.ID, d nic.Device) error {
	if !d.Kind.Functions() {
		return nil
	}
	if err := errors.Join(check(ctx, id, d), m.canSet()); err != nil {
		return err
	}
	var faults []error
	for _, part := range Parts(id, d) {
		faults = append(faults, m.functions.Differs(ctx, id, part.VF))
	}
	return errors.Join(faults...)
}

// Deafen switches promiscuous mode off where somebody has switched it on, of a NIC of
// virtual functions that is in the namespace, and names the interfaces.
func (m *Maker) Deafen(ctx context.Context, id nic.ID, d nic.Device, in *netns.Namespace) (names []string, err error) {
	if err := check(ctx, id, d); err != nil || !d.Kind.Functions() {
		return nil, err
	}
	h, err := link.Open(in)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	links, err := h.Links()
	if err != nil {
		return nil, err
	}
	var faults []error
	bond, bonded := link.Link{}, false
	if d.Kind == nic.Bonded {
		bond, bonded = m.bondAmong(links, id, d)
	}
	for _, l := range links {
		ours := bonded && l.Index == bond.Index ||
			slices.ContainsFunc(Parts(id, d), func(part nic.Device) bool { return m.at(l) == part.VF.PCI })
		if !ours || !l.Promisc {
			continue
		}
		if err := h.Set(l, link.Change{Deaf: true}); err != nil {
			faults = append(faults, err)
			continue
		}
		names = append(names, l.Name)
	}
	return names, errors.Join(faults...)
}

// Physical is the interface of a virtual function's physical one.
func (m *Maker) Physical(ctx context.Context, v nic.VF) (link.Link, bool, error) {
	if err := errors.Join(ctx.Err(), v.Check()); err != nil {
		return link.Link{}, false, err
	}
	l, found, err := m.functionIn(v.PF, "")(m.host)
	if err != nil {
		return link.Link{}, false, fmt.Errorf("look up PF %s: %w", v.PF, err)
	}
	return l, found, nil
}

// owned are those of the virtual functions that the NIC has.
func (m *Maker) owned(id nic.ID, all ...nic.VF) (owned []nic.VF, err error) {
	if m.functions == nil {
		return nil, nil
	}
	for _, v := range all {
		own, err := m.functions.Owned(id, v)
		if err != nil {
			return nil, err
		}
		if own {
			owned = append(owned, v)
		}
	}
	return owned, nil
}
