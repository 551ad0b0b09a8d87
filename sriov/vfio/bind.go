//go:build linux

package vfio

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/nic"
)

// Bind hands the VF to user space, after a check that nothing else goes along and that
// there are hugepages. What serves the VF before must be known to who unbinds it:
// see Driver. It does nothing to a VF that is bound already.
//
// A crash leaves the VF with its former driver, with none, or bound; Bind goes on
// from there, and Unbind goes back.
func (b *Binder) Bind(ctx context.Context, pci string) error {
	return b.wrap("hand", pci, func() error {
		now, err := b.Driver(pci)
		if err != nil {
			return err
		}
		if err := b.checkGroup(pci); err != nil {
			return err
		}
		if now.Name != Driver {
			if err := b.mayBind(); err != nil {
				return err
			}
		}
		if now.Override != Driver {
			if err := b.opts.Write(b.files.Path(devices, pci, "driver_override"), Driver); err != nil {
				return err
			}
		}
		if now.Name == Driver {
			return b.awaitDevice(ctx, pci)
		}
		if now.Name != "" {
			if err := b.opts.Write(b.files.Path(drivers, now.Name, "unbind"), pci); err != nil {
				return err
			}
		}
		if err := b.probe(pci); err != nil {
			return err
		}
		if got := b.files.Target(devices, pci, "driver"); got != Driver {
			return fmt.Errorf("%w: it was told to take the VF, whose driver is %s now; the kernel's log (dmesg) says why", ErrNoDriver, orNone(got))
		}
		return b.awaitDevice(ctx, pci)
	})
}

// mayBind checks what a VF needs that is not bound yet: one that is has its pages.
func (b *Binder) mayBind() error {
	if !b.files.Exists(drivers, Driver) {
		return fmt.Errorf("%w: the driver is not loaded: modprobe %s, and name it in /etc/modules-load.d for the next boot", ErrNoDriver, Driver)
	}
	return b.CheckPages()
}

// Unbind takes the VF back and gives it the driver that it had before, by was. It may
// be called twice, and for a VF that was never bound. A VF that a program has open is
// ErrBusy: the kernel would have the caller wait for that. One that somebody has given
// a third driver is left alone.
func (b *Binder) Unbind(ctx context.Context, pci string, was nic.VFDriver) error {
	return b.wrap("take back", pci, func() error {
		if err := checkDriver(was.Name, was.Override); err != nil {
			return err
		}
		now, err := b.Driver(pci)
		if err != nil {
			return err
		}
		third := now.Name != "" && now.Name != Driver && now.Name != was.Name
		if third || now == was {
			return ctx.Err()
		}
		if now.Name == Driver && was.Name != Driver {
			if err := b.checkClosed(pci); err != nil {
				return err
			}
		}
		if now.Override != was.Override {
			if err := b.opts.Write(b.files.Path(devices, pci, "driver_override"), was.Override+"\n"); err != nil {
				return err
			}
		}
		if now.Name == was.Name {
			return nil
		}
		if now.Name != "" {
			if err := b.opts.Write(b.files.Path(drivers, now.Name, "unbind"), pci); err != nil {
				return err
			}
		}
		return b.rebind(pci, was.Name)
	})
}

// rebind gives a VF without driver its former one.
func (b *Binder) rebind(pci, driver string) error {
	if driver == "" {
		return nil
	}
	if err := b.probe(pci); err != nil {
		return err
	}
	if b.files.Target(devices, pci, "driver") == "" { // the kernel does not give it to that one by itself
		if err := b.opts.Write(b.files.Path(drivers, driver, "bind"), pci); err != nil {
			return fmt.Errorf("its former driver %s does not take it back: %w", driver, err)
		}
	}
	if got := b.files.Target(devices, pci, "driver"); got != driver {
		return fmt.Errorf("its driver is %s now, and was %s; the kernel's log (dmesg) says why", orNone(got), driver)
	}
	return nil
}

func (b *Binder) probe(pci string) error {
	err := b.opts.Write(b.files.Path("sys/bus/pci/drivers_probe"), pci)
	if errors.Is(err, unix.EINVAL) { // no driver takes it, which the caller sees
		return nil
	}
	return err
}

// Closed is ErrBusy while a program has the VF open.
func (b *Binder) Closed(pci string) error {
	return b.wrap("take back", pci, func() error {
		if now, err := b.Driver(pci); err != nil || now.Name != Driver {
			return err
		}
		return b.checkClosed(pci)
	})
}

func (b *Binder) checkClosed(pci string) error {
	group := b.files.Target(devices, pci, "iommu_group")
	if group == "" {
		return nil
	}
	holders, err := b.holders(group)
	if err == nil && len(holders) > 0 {
		err = fmt.Errorf("%w: %s; end it, and the VF is taken back", ErrBusy, strings.Join(holders, ", "))
	}
	return err
}

// How long /dev may take to show a device that was bound.
const (
	devicePatience = 2 * time.Second
	deviceLook     = 10 * time.Millisecond
)

func (b *Binder) awaitDevice(ctx context.Context, pci string) error {
	ctx, cancel := context.WithTimeout(ctx, devicePatience)
	defer cancel()
	tick := time.NewTicker(deviceLook)
	defer tick.Stop()
	for {
		_, err := b.Device(pci)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (waited for %s)", err, devicePatience)
		}
	}
}

// wrap names the VF, and says in words what a kernel says in numbers.
func (b *Binder) wrap(verb, pci string, do func() error) error {
	err := do()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EROFS):
		err = fmt.Errorf("/sys is mounted read-only here, as in a container; run it on the machine itself: %w", err)
	case errors.Is(err, unix.EACCES):
		err = fmt.Errorf("to bind drivers needs root: %w", err)
	}
	return fmt.Errorf("%s VF %s: %w", verb, pci, err)
}

// ignoreEnded passes over a process that ended while it was looked at.
func ignoreEnded(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
