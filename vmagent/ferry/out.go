//go:build linux

package ferry

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device"
)

// altNameTries bounds the race with a container that adds alternative names as
// fast as we drop them.
const altNameTries = 10

// Out brings the NIC from the namespace home to the host's, wiped to its
// recipe and down, and reads back that it is so. It works on a NIC that is
// home already, whichever name it came home under. A NIC that is nowhere, or
// died with its namespace, is no error; nor is one in a third namespace, which
// is left alone: it may be the next container's, and see Recover. What we set
// for the NIC in from goes, but for the blackholes of the main table. from may
// be nil or the host's.
func (f *Ferry) Out(ctx context.Context, id nic.ID, d nic.Device, from *netns.Namespace) error {
	return f.out(ctx, id, d, from, false)
}

// Leave is Out for a NIC that is unplugged next. That ends whatever rides on it,
// in any namespace, and until then the NIC is down: to look for it, which takes as
// long as there are processes on the node, is left to an Out that comes instead.
func (f *Ferry) Leave(ctx context.Context, id nic.ID, d nic.Device, from *netns.Namespace) error {
	return f.out(ctx, id, d, from, true)
}

func (f *Ferry) out(ctx context.Context, id nic.ID, d nic.Device, from *netns.Namespace, leaves bool) error {
	if from != nil && from.ID() == f.host.Namespace().ID() {
		from = nil
	}
	if d.Kind == nic.Bonded {
		return f.outBond(ctx, id, d, from, leaves)
	}
	if d.VF.UserSpace { // its interface, where it has one for a moment, is not in our hands
		return nil
	}
	at, found, err := f.device.Locate(ctx, id, d, others(from)...)
	if errors.Is(err, device.ErrElsewhere) {
		found, err = false, nil
	}
	if err == nil && found {
		err = f.home(ctx, id, d, at, leaves)
	}
	if err == nil && from != nil {
		err = f.tidy(from)
	}
	if err != nil {
		return fmt.Errorf("bring %s home: %w", id, err)
	}
	return nil
}

// home brings a NIC home from where it is and wipes it.
func (f *Ferry) home(ctx context.Context, id nic.ID, d nic.Device, at device.Place, leaves bool) error {
	if !at.Home {
		if err := f.device.Precede(ctx, d, at.Link, at.Namespace); err != nil {
			return err
		}
		l, err := f.fetch(id, d, at.Link, at.Namespace)
		if err != nil {
			return err
		}
		at.Link = l
		f.ridden.note(id, l.Index != 0 && (!d.Kind.Made() || d.Kind.Functions()))
	}
	// Hardware goes to the next tenant as it is: nothing may ride on it in
	// a namespace that the container made. A link that we made does not.
	if f.ridden.has(id) && !leaves {
		if err := f.dropDistant(at.Link); err != nil {
			return err
		}
		f.ridden.note(id, false)
	}
	if !wiping {
		return nil
	}
	return f.wipe(ctx, id, d)
}

// tidy removes what the NICs that have left the namespace left behind there.
func (f *Ferry) tidy(from *netns.Namespace) error {
	inside, err := link.Open(from)
	if err != nil {
		return err
	}
	defer inside.Close()
	return dropOrphans(inside)
}

// dropDistant removes what rides on a link of the host's in any namespace.
func (f *Ferry) dropDistant(l link.Link) error {
	live, err := netns.Live(f.host.Namespace().ID())
	if err != nil {
		return err
	}
	return errors.Join(f.device.DropChildren(l, live...), netns.CloseAll(live))
}

// fetch moves the link home, in one message that also takes it down, and
// returns it as it is there. Being moved takes its addresses, routes, queueing
// and master from it. A link that died, or is home already, is the zero Link.
func (f *Ferry) fetch(id nic.ID, d nic.Device, l link.Link, from *netns.Namespace) (moved link.Link, err error) {
	inside, err := link.Open(from)
	if err != nil {
		return link.Link{}, err
	}
	defer inside.Close()
	if err := dropChildren(inside, l); err != nil {
		return link.Link{}, err
	}
	clean, err := f.device.Clean(id, d)
	if err != nil {
		return link.Link{}, err
	}
	if !wiping {
		clean = link.Change{Name: clean.Name}
	}
	for range altNameTries {
		// The host may have one of them too, and the kernel would refuse (F34).
		if err = inside.DropAltNames(l); err != nil && !errors.Is(err, link.ErrNotFound) {
			return link.Link{}, err
		}
		moved, err = inside.Move(l, f.host, onlyNew(l, clean))
		if errors.Is(err, link.ErrNotFound) {
			return link.Link{}, nil // it died, or is home already: wipe looks
		}
		if !errors.Is(err, link.ErrExists) {
			return moved, err
		}
		again, lookErr := inside.ByIndex(l.Index)
		if errors.Is(lookErr, link.ErrNotFound) {
			return link.Link{}, err // it is home, but its name there is taken
		}
		if lookErr != nil {
			return link.Link{}, errors.Join(err, lookErr)
		}
		l = again
	}
	return link.Link{}, err
}

// dropChildren deletes what the container put on top of the NIC, such as a
// VLAN. The kernel leaves it on the NIC when that moves, and the next
// container's traffic would reach the last one.
func dropChildren(inside *link.Handle, l link.Link) error {
	links, err := inside.Links()
	if err != nil {
		return err
	}
	for _, child := range links {
		if child.ParentIndex != l.Index || child.ParentNSID != link.SameNamespace || child.Kind == link.KindVeth || child.Index == l.Index {
			continue
		}
		if err := inside.Delete(child); err != nil {
			return err
		}
	}
	return nil
}

// wipe resets the NIC at home as far as it is not as its recipe says, and
// reads back.
func (f *Ferry) wipe(ctx context.Context, id nic.ID, d nic.Device) error {
	at, found, err := f.device.Locate(ctx, id, d)
	if err != nil || !found {
		return err
	}
	clean, err := f.device.Clean(id, d)
	if err != nil {
		return err
	}
	l := at.Link
	clean.Tuning = new(l.Untuned())
	if d.Kind.Functions() { // its PF's to say, which refuses it where its driver has not heeded the PF yet
		clean.MAC = l.MAC
	}
	// A card that was plugged in a moment ago keeps its name. To rename it while
	// udev works on its arrival has that fail, and networkd then take it for one
	// that nobody has spoken for (F36).
	if d.Kind == nic.Found && l.Alias == "" {
		clean.Name = l.Name
	}
	if dirt := dirty(l, clean); dirt != "" {
		if err := f.host.DropAltNames(l); err != nil {
			return err
		}
		if err := f.host.DropXDP(l); err != nil {
			return err
		}
		if l.Master != 0 {
			clean.Master = new(0)
		}
		// Down first, in a message of its own: some drivers refuse a new MAC
		// while up, and the kernel sets flags last.
		if l.Up {
			if err := f.host.Set(l, link.Change{Up: new(false)}); err != nil {
				return err
			}
		}
		err := f.host.Set(l, onlyNew(l, clean))
		if err != nil && d.Kind == nic.SRIOV && l.MAC != clean.MAC {
			// A VF that was not taken so far has a MAC of before, and its driver takes none
			// but the PF's, which is set back.
			clean.MAC = l.MAC
			err = f.host.Set(l, onlyNew(l, clean))
		}
		if err != nil {
			return err
		}
		if l, err = f.host.ByIndex(l.Index); err != nil {
			return err
		}
		if dirt := dirty(l, clean); dirt != "" {
			return fmt.Errorf("wipe %q: %s is still not as the recipe says", l.Name, dirt)
		}
	}
	return f.dropAddrs(l)
}

// onlyNew leaves out what hardware may refuse even where nothing would change.
func onlyNew(l link.Link, clean link.Change) link.Change {
	if l.MAC == clean.MAC {
		clean.MAC = nic.MAC{}
	}
	if l.MTU == clean.MTU {
		clean.MTU = 0
	}
	return clean
}

// dropAddrs takes away what a network manager on the host may have given to
// the NIC (F36).
func (f *Ferry) dropAddrs(l link.Link) error {
	addrs, err := f.host.Addrs(l)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if err := f.host.DelAddr(l, a.Prefix); err != nil {
			return err
		}
	}
	return nil
}

// dirty names the first thing in which a link differs from the clean state.
func dirty(l link.Link, clean link.Change) string {
	switch {
	case l.Name != clean.Name:
		return "its name"
	case l.MAC != clean.MAC:
		return "its MAC " + l.MAC.String()
	case l.MTU != clean.MTU:
		return fmt.Sprintf("its MTU %d", l.MTU)
	case l.Alias != *clean.Alias:
		return fmt.Sprintf("its alias %q", l.Alias)
	case l.Up:
		return "that it is up"
	case l.Promisc, l.AllMulti:
		return "its promiscuous mode"
	case clean.Tuning != nil && l.Tuning != *clean.Tuning:
		return fmt.Sprintf("its tuning %+v", l.Tuning)
	case l.XDP.Any():
		return "its XDP program"
	case l.Master != 0:
		return "its master"
	case len(l.AltNames) != 0:
		return fmt.Sprintf("that it has alternative names %q", l.AltNames)
	}
	return ""
}
