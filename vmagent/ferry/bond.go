//go:build linux

package ferry

import (
	"context"
	"errors"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/undo"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device"
)

// join is carry for a bond, which no kernel lets change its namespace: the members are
// moved, and it is made there. One that is half there is finished.
func (f *Ferry) join(ctx context.Context, id nic.ID, d nic.Device, at device.Place, inside *link.Handle, e Entry) (l link.Link, err error) {
	var u undo.Stack
	defer u.Rollback(&err)
	settings := &u
	if at.Home {
		if err := free(inside, e.Name); err != nil {
			return link.Link{}, err
		}
		u.Push("bring the members back", func() error {
			return f.Out(context.WithoutCancel(ctx), id, d, inside.Namespace())
		})
	} else {
		settings = new(undo.Stack) // what is in use stays, whatever fails
		if at.Link.Name != e.Name && at.Link.Up {
			if err := rename(inside, at.Link, e.Name); err != nil {
				return link.Link{}, err
			}
		}
	}
	// A bond that is made inherits them.
	if err := prepare(inside.Namespace(), e, settings); err != nil {
		return link.Link{}, err
	}
	if !at.Home && at.Link.Name == e.Name {
		if err := settle(inside.Namespace(), e.Name, e, settings); err != nil {
			return link.Link{}, err
		}
	}
	if err := settleMetadata(inside, mainTable, e.Metadata, settings); err != nil {
		return link.Link{}, err
	}
	l, err = f.device.Join(ctx, id, d, inside.Namespace(), e.Name, e.MTU)
	if errors.Is(err, device.ErrForeign) {
		err = errors.Join(ErrNameTaken, err)
	}
	if err == nil && at.Home {
		err = guardMetadata(inside, l, e.Metadata)
	} else if err == nil {
		err = guardInUse(inside, l, e.Metadata)
	}
	if err != nil {
		return link.Link{}, err
	}
	u.Commit()
	return l, nil
}

// outBond takes a bond apart and brings each member home. All are tried, whatever
// fails.
func (f *Ferry) outBond(ctx context.Context, id nic.ID, d nic.Device, from *netns.Namespace, leaves bool) error {
	var faults []error
	if from != nil {
		faults = append(faults, f.device.Part(ctx, id, d, from))
	}
	for _, part := range device.Parts(id, d) {
		faults = append(faults, f.out(ctx, id, part, from, leaves))
	}
	return errors.Join(faults...)
}

// recoverBond is Recover for each member: a container may have spread them.
func (f *Ferry) recoverBond(ctx context.Context, id nic.ID, d nic.Device, from *netns.Namespace) (s Stray, astray bool, err error) {
	if from != nil {
		err = f.device.Part(ctx, id, d, from)
	}
	for _, part := range device.Parts(id, d) {
		at, found, partErr := f.Recover(ctx, id, part, from)
		if found {
			s, astray = at, true
		}
		err = errors.Join(err, partErr)
	}
	return s, astray, err
}
