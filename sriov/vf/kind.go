//go:build linux

package vf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Virtual says whether a PCI function is a virtual one.
func (b Sysfs) Virtual(pci string) bool {
	device, err := b.device(pci)
	if err == nil {
		_, err = os.Lstat(filepath.Join(device, "physfn"))
	}
	return err == nil
}

// Virtual says whether a PCI function is a virtual one, as far as the bus knows.
func (s *Setter) Virtual(pci string) bool {
	bus, knows := s.opts.Bus.(interface{ Virtual(pci string) bool })
	return knows && bus.Virtual(pci)
}

// AnyRDMA says whether the machine's kernel has RDMA devices, or had any.
func (b Sysfs) AnyRDMA() bool {
	_, err := os.Stat(filepath.Join(b.root(), "class", "infiniband"))
	return err == nil
}

// RDMADevice is the name of a PCI function's RDMA device, which is in this network
// namespace or in all; empty without one.
func (b Sysfs) RDMADevice(pci string) (string, error) {
	device, err := b.device(pci)
	if err != nil {
		return "", err
	}
	all, err := os.ReadDir(filepath.Join(device, "infiniband"))
	if errors.Is(err, os.ErrNotExist) || err == nil && len(all) == 0 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for the RDMA device of %s: %w", pci, err)
	}
	return all[0].Name(), nil
}
