//go:build linux

package vf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// ErrUnheeded: the PF has the MAC for the VF, and the VF's interface goes on with another.
var ErrUnheeded = errors.New("the VF does not heed the MAC that its PF has for it")

// How long an interface may take to come after its driver was bound, and how often
// it is looked for.
const (
	probePatience = 10 * time.Second
	probeLook     = 20 * time.Millisecond
)

// Heed sees to it that the VF's interface has the MAC that the recipe says and Apply
// has set, which some drivers, such as igbvf, read when they are bound and never
// again (F38). The interface must be in the host's namespace, down and under no
// other: where the MAC is another, the driver is bound anew, and rebound says so.
// Then the interface is another one, with another index and maybe another name. So
// is a VF that has no driver, as an interrupted Heed leaves it.
func (s *Setter) Heed(ctx context.Context, owner nic.ID, v nic.VF) (rebound bool, err error) {
	if v.Set.MAC.IsZero() {
		return false, nil
	}
	err = s.hold(ctx, "look at the MAC of", owner, v, func() error {
		n, found, err := s.noted(v.PCI)
		if err == nil && found && n.Owner != owner && oneOwner {
			err = fmt.Errorf("VF %s %w: %s has it", v.PCI, ErrTaken, n.Owner)
		}
		if err != nil {
			return err
		}
		l, found, err := s.find(v.PCI)
		switch {
		case err != nil:
			return err
		case !found:
			driver, err := s.opts.Bus.Driver(v.PCI)
			if err != nil {
				return err
			}
			if driver != "" {
				return fmt.Errorf("its driver %s serves it, and it has no interface in the host's namespace: %w", driver, ErrNotFound)
			}
		case l.MAC == v.Set.MAC:
			return nil
		case l.Up || l.Master != 0:
			return fmt.Errorf("its interface %q has MAC %s, not %s, and is in use: set it down", l.Name, l.MAC, v.Set.MAC)
		}
		rebound = true
		if err := s.opts.Bus.Rebind(v.PCI); err != nil {
			return err
		}
		return s.awaitMAC(ctx, v)
	})
	return rebound, err
}

// awaitMAC waits until the VF has an interface again, which has the MAC.
func (s *Setter) awaitMAC(ctx context.Context, v nic.VF) error {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	has := "no interface"
	for {
		l, found, err := s.find(v.PCI)
		if err != nil {
			return err
		}
		if found && l.MAC == v.Set.MAC {
			return nil
		}
		if found {
			has = fmt.Sprintf("%q with MAC %s", l.Name, l.MAC)
		}
		if err := retry.Sleep(ctx, probeLook); err != nil {
			return fmt.Errorf("%w: %s after its driver was bound anew it has %s, not MAC %s: %w", ErrUnheeded, probePatience, has, v.Set.MAC, err)
		}
	}
}

// Sysfs is the [Bus] of a node.
type Sysfs struct {
	// Root is where sysfs is mounted; empty is /sys.
	Root string
}

func (b Sysfs) root() string {
	if b.Root == "" {
		return "/sys"
	}
	return b.Root
}

func (b Sysfs) device(pci string) (string, error) {
	return filepath.Join(b.root(), "bus", "pci", "devices", pci), nic.CheckPCI(pci) // it is part of a path
}

// Function reads the link that the kernel makes for each VF of a PF.
func (b Sysfs) Function(pf string, index int) (string, error) {
	device, err := b.device(pf)
	if err != nil {
		return "", err
	}
	to, err := os.Readlink(filepath.Join(device, "virtfn"+strconv.Itoa(index)))
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("VF %d of %s: %w", index, pf, ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("look up VF %d of %s: %w", index, pf, err)
	}
	return filepath.Base(to), nil
}

// Driver reads the link to the driver.
func (b Sysfs) Driver(pci string) (string, error) {
	path, err := b.driver(pci)
	if err != nil || path == "" {
		return "", err
	}
	return filepath.Base(path), nil
}

// driver is the driver's directory, or empty.
func (b Sysfs) driver(pci string) (string, error) {
	device, err := b.device(pci)
	if err != nil {
		return "", err
	}
	path, err := filepath.EvalSymlinks(filepath.Join(device, "driver"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up the driver of %s: %w", pci, err)
	}
	return path, nil
}

// Rebind takes the driver off the VF and binds the same one again.
func (b Sysfs) Rebind(pci string) error {
	device, err := b.device(pci)
	if err != nil {
		return err
	}
	driver, err := b.driver(pci)
	switch {
	case err != nil:
		return err
	case driver == "":
		return b.write(filepath.Join(filepath.Dir(filepath.Dir(device)), "drivers_probe"), pci)
	}
	if err := b.write(filepath.Join(driver, "unbind"), pci); err != nil {
		return err
	}
	return b.write(filepath.Join(driver, "bind"), pci)
}

func (b Sysfs) write(file, pci string) error {
	if err := os.WriteFile(file, []byte(pci), 0); err != nil {
		return fmt.Errorf("bind the driver of %s anew: %w", pci, err)
	}
	return nil
}
