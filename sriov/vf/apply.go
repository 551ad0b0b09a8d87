//go:build linux

package vf

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

// Take makes owner the VF's owner and says how it was set before, changing
// nothing. That is to be told to the controller, which puts it in the recipe for
// Apply and Restore. Asked again it says the same, whatever has been set since.
// A VF that another NIC has, or somebody else, is ErrTaken.
func (s *Setter) Take(ctx context.Context, owner nic.ID, v nic.VF) (was nic.VFWas, err error) {
	err = s.hold(ctx, "take", owner, v, func() error {
		n, found, err := s.noted(v.PCI)
		if err != nil {
			return err
		}
		if found && n.Owner == owner && (n.Was.Driver != nil || !v.UserSpace) {
			was = n.Was
			return nil
		}
		if found && n.Owner != owner && oneOwner && !s.opts.Gone(n.Owner) {
			return fmt.Errorf("VF %s %w: %s has it", v.PCI, ErrTaken, n.Owner)
		}
		_, now, err := s.read(v)
		if err == nil && !found {
			err = s.unused(ctx, v)
		}
		if err != nil {
			return err
		}
		if !found { // else what was before the last owner, who has not set it back
			n.Was = nic.VFWas{Boot: s.opts.Boot, Settings: now}
		}
		if n.Was, err = s.withDriver(v, n.Was); err != nil {
			return err
		}
		was = n.Was
		return s.write(v.PCI, note{owner, n.Was})
	})
	return was, err
}

// Apply sets the VF as the recipe says, and what that leaves unset as it was before,
// and reads back that it is so. It sends only what differs. The recipe must say how it was before (ErrUntold). A driver that does
// not tell trust has none, and a spoof check that it does not tell is let be: see
// Differs. Where the
// driver refuses a field, all are set back to what they were a moment ago, and
// the error has a FieldError for each such field.
func (s *Setter) Apply(ctx context.Context, owner nic.ID, v nic.VF) error {
	return s.hold(ctx, "set", owner, v, func() error {
		if v.Was.Boot != s.opts.Boot || v.UserSpace && v.Was.Driver == nil {
			return ErrUntold
		}
		n, found, err := s.noted(v.PCI)
		switch {
		case err != nil:
			return err
		case found && n.Owner != owner && oneOwner:
			return fmt.Errorf("VF %s %w: %s has it", v.PCI, ErrTaken, n.Owner)
		}
		pf, now, err := s.read(v)
		if err == nil && !found { // somebody emptied the folder
			err = s.claim(ctx, owner, v, now)
		}
		if err != nil {
			return err
		}
		if err = s.settle(pf, v, now, s.differences(now, v)); err == nil {
			return s.give(ctx, v, v.Was)
		}
		if errors.Is(err, ErrRefused) {
			advise(err, v.Set)
			if _, half, readErr := s.read(v); readErr == nil {
				err = errors.Join(err, s.putBack(pf, owner, v, half, now))
			}
		}
		return err
	})
}

// claim notes an owner whose note is gone, unless the VF is somebody's by now.
func (s *Setter) claim(ctx context.Context, owner nic.ID, v nic.VF, now nic.VFSettings) error {
	if !s.carries(v, now) {
		if err := s.unused(ctx, v); err != nil {
			return err
		}
	}
	return s.write(v.PCI, note{owner, v.Was})
}

// Owned says whether owner has the VF: it is noted so, or nothing is noted and the VF
// carries owner's MAC by a recipe of this boot.
func (s *Setter) Owned(owner nic.ID, v nic.VF) (bool, error) {
	if err := v.Check(); err != nil {
		return false, err
	}
	n, found, err := s.noted(v.PCI)
	switch {
	case err != nil:
		return false, err
	case found || !oneOwner:
		return n.Owner == owner || !oneOwner, nil
	case v.Was.Boot != s.opts.Boot:
		return false, nil
	}
	_, now, err := s.read(v)
	if errors.Is(err, ErrNotFound) || errors.Is(err, link.ErrNotFound) {
		return false, nil
	}
	return err == nil && s.carries(v, now), err
}

// carries says whether a VF that is noted for nobody is a recipe's.
func (s *Setter) carries(v nic.VF, now nic.VFSettings) bool {
	return v.Was.Boot == s.opts.Boot && !v.Set.MAC.IsZero() && now.MAC == v.Set.MAC
}

// Differs names the fields that are not as the recipe says, each as a FieldError, a PF
// that is set to be promiscuous, as a PromiscuousError, and a spoof check that nobody can
// see, as an UntoldError. It sets nothing: somebody may have set them by hand. Apply
// mends the fields.
func (s *Setter) Differs(ctx context.Context, owner nic.ID, v nic.VF) error {
	return s.hold(ctx, "look at", owner, v, func() error {
		pf, now, err := s.read(v)
		if err != nil {
			return err
		}
		all := s.differences(now, v)
		err = faults(pf, v, now, all, nil)
		if slices.ContainsFunc(all, func(d difference) bool { return d.unseen(now) }) {
			err = errors.Join(err, &UntoldError{PF: pf.Name, Index: v.Index})
		}
		if pf.Promisc {
			err = errors.Join(err, &PromiscuousError{PF: pf.Name, PCI: v.PF})
		}
		return err
	})
}

// Restore sets the VF back to what it was before its owner, reads back that it is
// so, and ends the ownership. What the driver refuses is logged and stays: to wait
// would not help, and it holds nobody up. While a program has the VF open, or another
// namespace has its interface (ErrAway), nothing is set. Where that is to go back to no MAC, the VF
// gets a fresh one. It does nothing to a VF that is another's, which
// has no note and does not carry owner's MAC, or that is gone. So it may come twice,
// late, and without the recipe's Was.
func (s *Setter) Restore(ctx context.Context, owner nic.ID, v nic.VF) error {
	return s.hold(ctx, "set back", owner, v, func() error {
		n, found, err := s.noted(v.PCI)
		if err != nil {
			return err
		}
		if found && n.Owner != owner && oneOwner {
			return nil // the next one's
		}
		pf, now, err := s.read(v)
		if errors.Is(err, ErrNotFound) {
			return s.forget(v.PCI)
		}
		if err != nil {
			return err
		}
		if !found || n.Owner != owner {
			if !s.carries(v, now) && oneOwner {
				return nil
			}
			n.Was = v.Was
		}
		if err := s.idle(ctx, v, now, n.Was); err != nil {
			return err
		}
		if err := s.putBack(pf, owner, v, now, n.Was.Settings); err != nil {
			return err
		}
		if err := s.takeBack(ctx, v, n.Was); err != nil {
			return err
		}
		s.serve(owner, v, n.Was)
		return s.forget(v.PCI)
	})
}

// putBack sets a VF to what it was, as far as its driver has it. Many refuse to take a
// MAC away: then the VF gets a fresh one, or the next who has its MAC, on another card,
// would be there twice.
func (s *Setter) putBack(pf link.Link, owner nic.ID, v nic.VF, now, was nic.VFSettings) error {
	err := s.settle(pf, v, now, exactly(now, was))
	if !errors.Is(err, ErrRefused) {
		return err
	}
	s.opts.Log.Warn("VF is not set back in all", "vf", v.PCI, "nic", owner, "err", err)
	_, now, err = s.read(v)
	if err != nil || now.MAC != v.Set.MAC || was.MAC == v.Set.MAC {
		return err
	}
	err = s.settle(pf, v, now, exactly(now, nic.VFSettings{MAC: nic.NewMAC()}))
	if errors.Is(err, ErrRefused) {
		s.opts.Log.Warn("VF keeps the MAC of a NIC that is gone", "vf", v.PCI, "nic", owner, "mac", v.Set.MAC, "err", err)
		return nil
	}
	return err
}

// hold checks what is asked and does it with the VF locked.
func (s *Setter) hold(ctx context.Context, verb string, owner nic.ID, v nic.VF, do func() error) error {
	_, err := nic.ParseID(string(owner))
	if err == nil {
		err = v.Check()
	}
	var unlock func()
	if err == nil {
		unlock, err = s.lock(ctx, v.PCI)
	}
	if err == nil {
		defer unlock()
		err = do()
	}
	if errors.Is(err, link.ErrNotFound) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err) // it was pulled out meanwhile
	}
	if err != nil {
		return fmt.Errorf("%s VF %s for %s: %w", verb, v.PCI, owner, err)
	}
	return nil
}
