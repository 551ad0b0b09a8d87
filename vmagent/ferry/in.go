//go:build linux

package ferry

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/undo"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device"
)

// In brings the NIC from the host namespace into target as the entry says, up,
// and returns the link there. One that is there already is adopted: only what
// is not as it should be is touched. On an error the NIC is where it was, and
// so are the settings of target. The metadata addresses are blackholed before
// the NIC is there, and stay so after it has left.
//
// It refuses a target that is the host's own namespace (ErrHostNamespace), and
// a name that another link has there (ErrNameTaken).
func (f *Ferry) In(ctx context.Context, id nic.ID, d nic.Device, target *netns.Namespace, e Entry) (l link.Link, err error) {
	wrap := func(err error) (link.Link, error) {
		return link.Link{}, fmt.Errorf("bring %s into %s as %q: %w", id, target.ID(), e.Name, err)
	}
	if err := nic.CheckInterfaceName(e.Name); err != nil {
		return wrap(err)
	}
	if target.ID() == f.host.Namespace().ID() {
		return wrap(ErrHostNamespace)
	}
	at, found, err := f.device.Locate(ctx, id, d, target)
	if err == nil && !found {
		err = ErrNotThere
	}
	if err == nil && at.Home && d.Kind == nic.Found && at.Link.Alias == string(id) {
		at, err = f.washed(ctx, id, d)
	}
	if err != nil {
		return wrap(err)
	}
	inside, err := link.Open(target)
	if err != nil {
		return wrap(err)
	}
	defer inside.Close()
	switch {
	case d.Kind == nic.Bonded:
		l, err = f.join(ctx, id, d, at, inside, e)
	case at.Home:
		l, err = f.carry(ctx, id, d, at.Link, inside, e)
	default:
		if err = f.device.Follow(ctx, d, target); err == nil {
			l, err = f.adopt(id, d, at.Link, inside, e)
		}
	}
	if err != nil {
		return wrap(err)
	}
	return l, nil
}

// washed wipes hardware that carries the alias of its last journey: it came
// home by itself, when its container's namespace died.
func (f *Ferry) washed(ctx context.Context, id nic.ID, d nic.Device) (device.Place, error) {
	if err := f.wipe(ctx, id, d); err != nil {
		return device.Place{}, err
	}
	at, found, err := f.device.Locate(ctx, id, d)
	if err == nil && !found {
		err = ErrNotThere
	}
	return at, err
}

// carry moves the link from the host namespace. Everything that may be refused
// is asked before the move.
func (f *Ferry) carry(ctx context.Context, id nic.ID, d nic.Device, l link.Link, inside *link.Handle, e Entry) (moved link.Link, err error) {
	if err := free(inside, e.Name); err != nil {
		return link.Link{}, err
	}
	var u undo.Stack
	defer u.Rollback(&err)
	if err := prepare(inside.Namespace(), e, &u); err != nil {
		return link.Link{}, err
	}
	if err := settleFresh(inside, e.Metadata, &u); err != nil {
		return link.Link{}, err
	}
	// They would collide with names in the container, or with the new name
	// itself (F34).
	if err := f.host.DropAltNames(l); err != nil {
		return link.Link{}, err
	}
	c := link.Change{Name: e.Name, MTU: cmp.Or(e.MTU, d.MTU), Up: new(!guardedFirst(d.Kind, e)), Plain: true, Tuning: new(l.Untuned())}
	// Hardware has its MAC already, unless somebody here has given it another
	// before we came (F37); some drivers mind being told what they know.
	if d.Kind.OwnMAC() || d.Kind == nic.Found && l.MAC != d.MAC {
		c.MAC = d.MAC
	}
	if d.Kind == nic.Found {
		c.Alias = new(string(id)) // a hint, for drivers without a permanent MAC
	}
	// The undo comes before the deed: the kernel may refuse the second half of
	// the message with the first half done.
	u.Push("bring the NIC back", func() error {
		return f.Out(context.WithoutCancel(ctx), id, d, inside.Namespace())
	})
	moved, err = f.host.Move(l, inside, c)
	if errors.Is(err, link.ErrExists) {
		err = fmt.Errorf("%w: %w", ErrNameTaken, err) // by a link that came after we asked
	}
	if err == nil {
		err = guardArrived(inside, moved, e.Metadata)
	}
	if err == nil && !moved.Up {
		err = inside.Set(moved, link.Change{Up: new(true)})
		moved.Up = true
	}
	if err == nil {
		err = f.device.Follow(ctx, d, inside.Namespace())
	}
	if err != nil {
		return link.Link{}, err
	}
	u.Commit()
	return moved, nil
}

// guardedFirst says whether the NIC is raised once its filter is there. To make the place
// for one on hardware that is up, the kernel stops its queues and waits for all that is on
// its way; to raise it apart is one message, which a veth is better without.
func guardedFirst(kind nic.DeviceKind, e Entry) bool {
	return guarding && !e.Metadata && (kind == nic.Found || kind == nic.SRIOV)
}

// free asks whether the name may be used. The kernel would move first and
// refuse the rename then (F33).
func free(inside *link.Handle, name string) error {
	_, err := inside.IndexOf(name)
	if errors.Is(err, link.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	other, err := inside.ByName(name)
	if err == nil {
		return fmt.Errorf("%w by %q (kind %q): ask for another name, or run the container with --network none",
			ErrNameTaken, other.Name, other.Kind)
	}
	if errors.Is(err, link.ErrNotFound) {
		return nil
	}
	return err
}

// adopt puts right what is not as it should be, one thing at a time, so that
// nothing else is disturbed: traffic may flow.
func (f *Ferry) adopt(id nic.ID, d nic.Device, l link.Link, inside *link.Handle, e Entry) (link.Link, error) {
	if l.Name != e.Name {
		if err := rename(inside, l, e.Name); err != nil {
			return link.Link{}, err
		}
	}
	var c link.Change
	changed := false
	if d.Kind.OwnMAC() && l.MAC != d.MAC {
		c.MAC, changed = d.MAC, true
	}
	if mtu := cmp.Or(e.MTU, d.MTU); mtu != 0 && l.MTU != mtu {
		c.MTU, changed = mtu, true
	}
	if d.Kind == nic.Found && l.Alias != string(id) {
		c.Alias, changed = new(string(id)), true
	}
	if !l.Up {
		c.Up, changed = new(true), true
	}
	var kept undo.Stack // a link that is in use stays as it is, whatever fails
	if err := settle(inside.Namespace(), e.Name, e, &kept); err != nil {
		return link.Link{}, err
	}
	if err := settleMetadata(inside, mainTable, e.Metadata, &kept); err != nil {
		return link.Link{}, err
	}
	if err := guardInUse(inside, l, e.Metadata); err != nil {
		return link.Link{}, err
	}
	if changed {
		if err := inside.Set(l, c); err != nil {
			return link.Link{}, err
		}
	}
	if !changed && l.Name == e.Name {
		return l, nil
	}
	return inside.ByIndex(l.Index)
}

// rename gives a link that a container renamed its name back. Kernels before
// 6.2 refuse that while it is up (F35).
func rename(inside *link.Handle, l link.Link, name string) error {
	if l.HasName(name) { // as an alternative name of its own (F34)
		if err := inside.DropAltNames(l); err != nil {
			return err
		}
	}
	if err := free(inside, name); err != nil {
		return err
	}
	err := inside.Set(l, link.Change{Name: name})
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	if err := inside.Set(l, link.Change{Up: new(false)}); err != nil {
		return err
	}
	return inside.Set(l, link.Change{Name: name, Up: new(true)})
}
