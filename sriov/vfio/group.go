//go:build linux

package vfio

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// unsafe says whether a group is one without an IOMMU behind it.
func (b *Binder) unsafe(group string) bool {
	name, err := b.files.Word("sys/kernel/iommu_groups", group, "name")
	return group != "" && err == nil && name == "vfio-noiommu"
}

// checkGroup refuses a VF that cannot be handed out alone: an IOMMU keeps groups
// apart, and not what is in one.
func (b *Binder) checkGroup(pci string) error {
	group := b.files.Target(devices, pci, "iommu_group")
	switch {
	case b.opts.WithoutIOMMU && (b.unsafe(group) || group == "" && b.may()):
		return nil
	case b.unsafe(group), group == "" && b.may():
		return fmt.Errorf("%w: this kernel hands out devices without one (enable_unsafe_noiommu_mode), with which a program could read and "+
			"write all of the machine's memory; boot with intel_iommu=on or amd_iommu=on", ErrNoIOMMU)
	case group == "":
		return fmt.Errorf("%w: %s is in no IOMMU group, and a program that drives it could read and write all of the machine's memory; switch "+
			"VT-d or AMD-Vi on in the machine's firmware, and boot with intel_iommu=on on Intel", ErrNoIOMMU, pci)
	}
	others, err := os.ReadDir(b.files.Path("sys/kernel/iommu_groups", group, "devices"))
	if err != nil {
		return fmt.Errorf("look who is in IOMMU group %s: %w", group, err)
	}
	var faults []string
	for _, other := range others {
		if why := b.hinders(other.Name(), pci); why != "" {
			faults = append(faults, why)
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: group %s has %s, and goes to a program as a whole; the card's slot, or a switch above it, does not keep its "+
			"functions apart (ACS): take another slot, or a card whose VFs are in groups of their own", ErrShared, group, strings.Join(faults, ", "))
	}
	return nil
}

// may says whether the kernel hands out devices without an IOMMU.
func (b *Binder) may() bool {
	word, err := b.files.Word("sys/module/vfio/parameters/enable_unsafe_noiommu_mode")
	return err == nil && word == "Y"
}

// hinders says why a device of the group keeps the VF from going to a program; empty
// if it does not.
func (b *Binder) hinders(other, pci string) string {
	driver := b.files.Target(devices, other, "driver")
	class, _ := b.files.Word(devices, other, "class") // without one it is no bridge
	switch {
	case other == pci, driver == "", driver == "pci-stub":
		return ""
	case strings.HasPrefix(class, "0x0604"): // the port that leads to it
		return ""
	case driver == Driver:
		return other + ", which another program may have (" + Driver + ")"
	}
	return other + ", which the machine itself uses (driver " + driver + ")"
}

// holders names the processes that have a group open. The kernel lets no driver go
// before they have closed it, and whoever asks for that waits until then.
func (b *Binder) holders(group string) ([]string, error) {
	files := []string{"/vfio/" + group, "/vfio/noiommu-" + group}
	processes, err := os.ReadDir(b.files.Path("proc"))
	if err != nil {
		return nil, fmt.Errorf("look who has IOMMU group %s open: %w", group, err)
	}
	var all []string
	for _, p := range processes {
		if strings.Trim(p.Name(), "0123456789") != "" {
			continue
		}
		open, err := b.hasOpen(p.Name(), files)
		if err != nil {
			return nil, fmt.Errorf("look who has IOMMU group %s open: %w", group, err)
		}
		if open {
			comm, _ := b.files.Word("proc", p.Name(), "comm") // it may end at any time
			all = append(all, fmt.Sprintf("process %s (%s)", p.Name(), printable(comm)))
		}
	}
	return all, nil
}

// hasOpen says whether a process has one of the files open, by its name: a container
// sees its own /dev, below which the kernel gives it the same one.
func (b *Binder) hasOpen(pid string, files []string) (bool, error) {
	fds, err := os.ReadDir(b.files.Path("proc", pid, "fd"))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // it has ended
	}
	if err != nil && len(fds) == 0 {
		return false, ignoreEnded(err)
	}
	for _, fd := range fds {
		to, err := os.Readlink(b.files.Path("proc", pid, "fd", fd.Name()))
		if err != nil {
			continue // it was closed
		}
		for _, file := range files {
			if to == file || strings.HasSuffix(to, file) {
				return true, nil
			}
		}
	}
	return false, nil
}

// printable takes what would do something to a terminal out of a name that anybody
// may choose.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
