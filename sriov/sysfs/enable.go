//go:build linux

package sysfs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/internal/undo"
	"github.com/nicferry/nicferry/sriov"
)

// How long the kernel may take to make VFs, and how long these may take to show
// their interfaces, each with a part for each VF. A card with 63 takes seconds.
const (
	makeTime, makeTimeEach = time.Minute, time.Second
	showTime, showTimeEach = 10 * time.Second, 500 * time.Millisecond
)

// Enable sees to it that a card, by the name of its interface or by its PCI
// address, has n VFs, or as many as it can have, and that these have interfaces. It
// returns the card as it is then, and notes for people. Asked again it changes
// nothing.
//
// The number is never changed while somebody uses one of the VFs, and VFs that
// others made are never removed: then it errs with ErrBusy or ErrForeign, and
// nothing has changed. On ErrLate VFs have been made or may still be; on all other
// errors what was done is undone. See the kinds of error for the rest.
func (t *Tree) Enable(ctx context.Context, name string, n int) (pf sriov.PF, notes []string, err error) {
	unlock, err := t.lock()
	if err != nil {
		return sriov.PF{}, nil, err
	}
	defer unlock()
	p, err := t.Plan(name, n)
	if err != nil || p.Nothing() {
		return p.PF, p.Notes, err
	}
	var done undo.Stack
	defer func() {
		if errors.Is(err, ErrLate) {
			done.Commit() // the kernel may yet do it
		}
		done.Rollback(&err)
	}()
	if p.Raise {
		t.opts.Told("switch " + p.PF.Name + " on")
		if err := t.raise(p.PF, true); err != nil {
			return p.PF, p.Notes, err
		}
		done.Push("switch "+p.PF.Name+" off again", func() error { return t.raise(p.PF, false) })
	}
	if p.Remove {
		t.opts.Told(fmt.Sprintf("remove the %d VFs of %s, which nobody uses", p.PF.NumVFs, p.PF.Label()))
		if err := t.set(ctx, p.PF, 0); err != nil {
			return p.PF, p.Notes, err
		}
		done.Push("make the former VFs again", func() error { return t.produce(context.WithoutCancel(ctx), p.PF, p.PF.NumVFs) })
	}
	if p.Make {
		t.opts.Told(fmt.Sprintf("make %d VFs of %s", p.VFs, p.PF.Label()))
		err = t.produce(ctx, p.PF, p.VFs)
	} else {
		err = t.forget(p.PF.Address)
	}
	if err != nil {
		return p.PF, p.Notes, err
	}
	done.Commit()
	if pf, err = t.await(ctx, p.PF.Address, p.VFs); err != nil {
		return pf, p.Notes, err
	}
	return pf, p.Notes, nil
}

// raise switches a card's interface on or off, and looks whether it is.
func (t *Tree) raise(pf sriov.PF, up bool) error {
	flags, err := t.number(netClass, pf.Name, "flags")
	if err == nil {
		flags &^= flagUp
		if up {
			flags |= flagUp
		}
		err = t.opts.Write(t.files.Path(netClass, pf.Name, "flags"), "0x"+strconv.FormatInt(int64(flags), 16))
	}
	if err != nil {
		return t.gone(pf.Address, fmt.Errorf("switch %s on or off: %w", pf.Name, err))
	}
	if t.link(pf.Name).Up != up {
		return fmt.Errorf("switch %s on or off: the kernel took it and did not do it", pf.Name)
	}
	return nil
}

// produce makes n VFs of a card that has none. They are recorded as ours before
// they are there.
func (t *Tree) produce(ctx context.Context, pf sriov.PF, n int) (err error) {
	if err := t.keep(pf.Address, record{VFs: n}); err != nil {
		return err
	}
	t.spare(ctx, pf.Address)
	var done undo.Stack
	defer func() {
		if errors.Is(err, ErrLate) {
			done.Commit()
		}
		done.Rollback(&err)
	}()
	done.Push("forget that they were to be made", func() error { return t.forget(pf.Address) })
	if err := t.set(ctx, pf, n); err != nil {
		return err
	}
	now, err := t.read(pf.Address, new(strangers).nobody())
	if err != nil {
		return err
	}
	switch {
	case now.NumVFs == 0: // bnxt_en does that
		return fmt.Errorf("%w: driver %s of %s took the number and made no VF; the kernel's log says why: dmesg | grep %s",
			ErrUnsupported, pf.Driver, pf.Label(), pf.Address)
	case now.NumVFs != n:
		done.Push("remove what was made", func() error { return t.set(context.WithoutCancel(ctx), pf, 0) })
		return fmt.Errorf("%w: driver %s made %d VFs of %s instead of %d", ErrNoRoom, pf.Driver, now.NumVFs, pf.Label(), n)
	}
	done.Commit()
	return t.keep(pf.Address, record{VFs: n, Node: t.node(now)})
}

// set writes the number of VFs. The kernel returns when they are there, and cannot
// be interrupted: whoever does not want to wait for it, or cannot any longer,
// leaves with ErrLate.
func (t *Tree) set(ctx context.Context, pf sriov.PF, n int) error {
	ctx, cancel := context.WithTimeout(ctx, makeTime+time.Duration(max(n, pf.NumVFs))*makeTimeEach)
	defer cancel()
	written := make(chan error, 1)
	go func() { written <- t.opts.Write(t.files.Path(device(pf.Address), "sriov_numvfs"), strconv.Itoa(n)) }()
	select {
	case err := <-written:
		if err != nil {
			return words(pf, n, t.gone(pf.Address, err))
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the kernel is still setting the number of VFs of %s to %d, and goes on: %w", ErrLate, pf.Label(), n, ctx.Err())
	}
}

// await waits until all VFs are there with their interfaces, where they get any
// by themselves.
func (t *Tree) await(ctx context.Context, a sriov.Address, n int) (sriov.PF, error) {
	ctx, cancel := context.WithTimeout(ctx, showTime+time.Duration(n)*showTimeEach)
	defer cancel()
	wait := retry.Backoff{First: 20 * time.Millisecond, Max: 500 * time.Millisecond}
	told := -1
	for {
		pf, err := t.read(a, new(strangers).nobody())
		if err != nil {
			return sriov.PF{}, err
		}
		here := shown(pf)
		if here == n {
			return pf, nil
		}
		if here != told {
			told = here
			t.opts.Told(fmt.Sprintf("%d of %d VFs have their interface", here, n))
		}
		if err := retry.Sleep(ctx, wait.Next()); err != nil {
			return pf, fmt.Errorf("%w: %s: %w", ErrLate, missing(pf, n), err)
		}
	}
}

// shown counts the VFs that wait for nothing any more.
func shown(pf sriov.PF) int {
	n := 0
	for _, vf := range pf.VFs {
		if vf.Name != "" || vf.Driver == "" && !pf.Autoprobe {
			n++
		}
	}
	return n
}

// missing names the first VF that is not as it should be, and why.
func missing(pf sriov.PF, n int) string {
	for _, vf := range pf.VFs {
		switch {
		case vf.Driver == "" && pf.Autoprobe:
			return fmt.Sprintf("VF %d, %s, has no driver; load it: modprobe %s", vf.Index, vf.Label(), vfDriver(pf.Driver))
		case vf.Name == "" && vf.Driver != "":
			return fmt.Sprintf("driver %s has made no interface of VF %d, %s; the kernel's log says why: dmesg | grep %s", vf.Driver, vf.Index, vf.Address, vf.Address)
		}
	}
	return fmt.Sprintf("%s shows %d of its %d VFs", pf.Label(), len(pf.VFs), n)
}

// vfDriver is the module that serves the VFs of a card with that driver.
func vfDriver(driver string) string {
	switch driver {
	case "igb":
		return "igbvf"
	case "ixgbe":
		return "ixgbevf"
	case "i40e", "ice", "idpf":
		return "iavf"
	case "liquidio":
		return "liquidio_vf"
	}
	return driver
}
