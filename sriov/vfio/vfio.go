//go:build linux

// Package vfio hands virtual functions to programs in user space.
package vfio

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/nicferry/nicferry/internal/sysfile"
	"github.com/nicferry/nicferry/nic"
)

// Driver is the kernel's driver that hands devices to user space.
const Driver = "vfio-pci"

// The kinds of error. Each comes in words that say what to do.
var (
	// ErrNoIOMMU: nothing would keep the program from the machine's memory.
	ErrNoIOMMU = errors.New("no IOMMU")
	// ErrShared: others are in the VF's IOMMU group, and would go along.
	ErrShared = errors.New("others are in its IOMMU group")
	// ErrNoDriver: the kernel has no vfio-pci, or it does not take the VF.
	ErrNoDriver = errors.New("no " + Driver)
	// ErrNoPages: no hugepages are free.
	ErrNoPages = errors.New("no hugepages")
	// ErrBusy: a program has the VF open.
	ErrBusy = errors.New("a program has it open")
	// ErrNotBound: the VF is not in the hands of user space.
	ErrNotBound = errors.New("is not bound to " + Driver)
	// ErrNotFound: there is no such device.
	ErrNotFound = errors.New("no such PCI device")
)

// Options say where a machine's files are. All are optional.
type Options struct {
	// Root is the directory above sys and proc: /.
	Root string
	// Write writes to a file that is there, in one piece, as the kernel takes it.
	Write func(path, text string) error
	// WithoutIOMMU accepts a kernel that hands out devices without an IOMMU, if it is
	// set to: programs can then read and write all of the machine's memory.
	WithoutIOMMU bool
}

// A Binder binds VFs to vfio-pci and back. It keeps nothing: each call looks at
// what there is, so that it may come again after a crash at any point. One at a time
// may work at a VF, which the caller sees to.
type Binder struct {
	opts  Options
	files sysfile.Root
}

// New returns the machine's binder. It reads nothing yet.
func New(opts Options) *Binder {
	if opts.Root == "" {
		opts.Root = "/"
	}
	if opts.Write == nil {
		opts.Write = sysfile.Write
	}
	return &Binder{opts, sysfile.Root(opts.Root)}
}

const (
	devices = "sys/bus/pci/devices"
	drivers = "sys/bus/pci/drivers"
	// noOverride is how the kernel says that there is none.
	noOverride = "(null)"
)

// check wants a device that is there.
func (b *Binder) check(pci string) error {
	if err := nic.CheckPCI(pci); err != nil {
		return err
	}
	if !b.files.Exists(devices, pci) {
		return fmt.Errorf("%s: %w", pci, ErrNotFound)
	}
	return nil
}

// driverName is what modules are called: it becomes part of a path.
var driverName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$`)

func checkDriver(names ...string) error {
	for _, name := range names {
		if name != "" && !driverName.MatchString(name) {
			return fmt.Errorf("driver %.64q: want a name of letters, digits, _ and -", name)
		}
	}
	return nil
}

// Driver is what serves a device at present.
func (b *Binder) Driver(pci string) (nic.VFDriver, error) {
	if err := b.check(pci); err != nil {
		return nic.VFDriver{}, err
	}
	override, err := b.files.Word(devices, pci, "driver_override")
	if err != nil {
		return nic.VFDriver{}, fmt.Errorf("read which driver %s is kept for: %w", pci, err)
	}
	if override == noOverride {
		override = ""
	}
	return nic.VFDriver{Name: b.files.Target(devices, pci, "driver"), Override: override}, nil
}

// Device is what a program opens to drive the VF, such as /dev/vfio/12. It needs
// /dev/vfio/vfio besides. A VF that is not bound is ErrNotBound.
func (b *Binder) Device(pci string) (string, error) {
	if err := b.check(pci); err != nil {
		return "", err
	}
	if now := b.files.Target(devices, pci, "driver"); now != Driver {
		return "", fmt.Errorf("%s %w: its driver is %s", pci, ErrNotBound, orNone(now))
	}
	group := b.files.Target(devices, pci, "iommu_group")
	name := group
	if b.unsafe(group) {
		name = "noiommu-" + group
	}
	// Not whether /dev has it: a service need not see the machine's.
	if group == "" || !b.files.Exists("sys/class/vfio", name) {
		return "", fmt.Errorf("%s: %s has it, and the kernel shows no /dev/vfio/%s", pci, Driver, name)
	}
	return "/dev/vfio/" + name, nil
}

func orNone(name string) string {
	if name == "" {
		return "none"
	}
	return name
}
