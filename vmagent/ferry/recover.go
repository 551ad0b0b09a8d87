//go:build linux

package ferry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device"
)

// A Stray says where a NIC was that had gone astray.
type Stray struct {
	// Namespace is where it was, and Name its name there; both are zero where
	// it was Remade.
	Namespace netns.ID
	Name      string
	// Holders keep that namespace alive.
	Holders []netns.Holder
	// Remade: nobody could find it, so it was deleted by its end on the host
	// and made anew.
	Remade bool
}

// String is for logs.
func (s Stray) String() string {
	if s.Remade {
		return "in a namespace that cannot be found; it was made anew"
	}
	holders := make([]string, len(s.Holders))
	for i, h := range s.Holders {
		holders[i] = h.String()
	}
	return fmt.Sprintf("in %s as %q, held by %s", s.Namespace, s.Name, strings.Join(holders, ", "))
}

// Recover is Out for a container that is certainly dead, or for a NIC that
// belongs in no container: nobody has a right to it any more. So it is also
// looked for in every namespace of the machine, such as one that the container
// made, and pulled out of there; a veth that is in none of them is made anew.
// Whatever else the container put on the parent of a macvlan goes. It says
// where the NIC was if it was in neither from nor the host's namespace.
//
// The caller must know that no other container has been given the NIC.
func (f *Ferry) Recover(ctx context.Context, id nic.ID, d nic.Device, from *netns.Namespace) (s Stray, astray bool, err error) {
	if d.Kind == nic.Bonded {
		return f.recoverBond(ctx, id, d, from)
	}
	if d.VF.UserSpace { // it has no interface that could hide
		return Stray{}, false, f.Out(ctx, id, d, from)
	}
	wrap := func(err error) (Stray, bool, error) {
		return Stray{}, false, fmt.Errorf("recover %s: %w", id, err)
	}
	_, found, err := f.device.Locate(ctx, id, d, others(from)...)
	if err != nil && !errors.Is(err, device.ErrElsewhere) {
		return wrap(err)
	}
	if err != nil || !found {
		if s, astray, err = f.search(ctx, id, d, from); err != nil {
			return wrap(err)
		}
	}
	if err := f.Out(ctx, id, d, from); err != nil {
		return Stray{}, false, err
	}
	if from != nil && from.ID() != f.host.Namespace().ID() {
		if err := f.device.DropSiblings(ctx, d, from); err != nil {
			return wrap(err)
		}
	}
	return s, astray, nil
}

// search looks for the NIC in all namespaces but the known ones and pulls it
// out of the one where it is.
func (f *Ferry) search(ctx context.Context, id nic.ID, d nic.Device, from *netns.Namespace) (s Stray, astray bool, err error) {
	known := []netns.ID{f.host.Namespace().ID()}
	if from != nil {
		known = append(known, from.ID())
	}
	live, err := netns.Live(known...)
	if err != nil {
		return Stray{}, false, err
	}
	defer func() { err = errors.Join(err, netns.CloseAll(live)) }()
	at, found, err := f.device.Locate(ctx, id, d, live...)
	switch {
	case errors.Is(err, device.ErrElsewhere):
		return Stray{Remade: true}, true, f.device.Remake(ctx, id, d)
	case err != nil, !found, at.Home:
		return Stray{}, false, err
	}
	s = Stray{Namespace: at.Namespace.ID(), Name: at.Link.Name}
	if s.Holders, err = netns.Holders(s.Namespace); err != nil {
		return Stray{}, false, err
	}
	if err := f.Out(ctx, id, d, at.Namespace); err != nil {
		return Stray{}, false, err
	}
	return s, true, f.device.DropSiblings(ctx, d, at.Namespace)
}

// others is the namespace as a list to search, empty without one.
func others(ns *netns.Namespace) []*netns.Namespace {
	if ns == nil {
		return nil
	}
	return []*netns.Namespace{ns}
}
