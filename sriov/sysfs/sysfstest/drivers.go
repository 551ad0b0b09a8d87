//go:build linux

package sysfstest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/sriov"
)

const (
	pciBus   = "sys/bus/pci"
	vfioPCI  = "vfio-pci"
	noDriver = "(null)" // how the kernel says that there is no override
)

// Load has the machine know a driver, such as vfio-pci.
func (m *Machine) Load(driver string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known(driver)
}

func (m *Machine) known(driver string) {
	dir := pciBus + "/drivers/" + driver
	m.must(os.MkdirAll(filepath.Join(m.root, dir), 0o755))
	m.file(dir+"/bind", "")
	m.file(dir+"/unbind", "")
}

// Reject has a driver take no device from now on, which the kernel says to nobody.
func (m *Machine) Reject(driver string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rejects = driver
}

// Share puts a device into another one's IOMMU group.
func (m *Machine) Share(a, with sriov.Address) {
	m.mu.Lock()
	defer m.mu.Unlock()
	group, err := filepath.EvalSymlinks(filepath.Join(m.root, m.dir(with), "iommu_group"))
	m.must(err)
	rel, err := filepath.Rel(m.root, group)
	m.must(err)
	old, err := filepath.EvalSymlinks(filepath.Join(m.root, m.dir(a), "iommu_group"))
	m.must(err)
	m.must(os.Remove(filepath.Join(old, "devices", string(a))))
	m.bury(m.dir(a) + "/iommu_group")
	m.link(rel+"/devices/"+string(a), m.dir(a))
	m.link(m.dir(a)+"/iommu_group", rel)
}

// Driver is what serves a device; empty is nothing.
func (m *Machine) Driver(a sriov.Address) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.driverOf(a)
}

func (m *Machine) driverOf(a sriov.Address) string {
	to, err := os.Readlink(filepath.Join(m.root, m.dir(a), "driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}

// writeDriver is what the kernel does at a write to a file of its about drivers; done
// is false for other files.
func (m *Machine) writeDriver(rel, text string) (done bool, err error) {
	dir, file := filepath.Split(rel)
	a := sriov.Address(text)
	at := filepath.Base(dir)
	switch file {
	case "driver_override":
		text = strings.TrimSuffix(text, "\n")
		if text == "" {
			text = noDriver
		}
		m.file("sys/"+rel, text)
		return true, nil
	case "drivers_probe":
		if !m.exists(a) {
			return true, unix.ENODEV
		}
		if m.driverOf(a) != "" {
			return true, nil
		}
		return true, m.probe(a, m.match(a))
	case "unbind":
		if m.driverOf(a) != at {
			return true, unix.ENODEV
		}
		m.unbind(a)
		return true, nil
	case "bind":
		if !m.exists(a) || m.driverOf(a) != "" || m.match(a) != at {
			return true, unix.ENODEV
		}
		return true, m.probe(a, at)
	}
	return false, nil
}

func (m *Machine) exists(a sriov.Address) bool {
	_, err := os.Lstat(filepath.Join(m.root, pciBus, "devices", string(a)))
	return err == nil
}

// match is the driver that the kernel would bind: the override alone, where there
// is one.
func (m *Machine) match(a sriov.Address) string {
	if override := m.text(m.dir(a) + "/driver_override"); override != noDriver {
		return override
	}
	return m.native[a]
}

func (m *Machine) probe(a sriov.Address, driver string) error {
	_, err := os.Stat(filepath.Join(m.root, pciBus, "drivers", driver))
	if driver == "" || driver == m.rejects || errors.Is(err, os.ErrNotExist) {
		return nil // nobody takes it, and nobody says so
	}
	m.driver(a, driver)
	if driver != vfioPCI {
		m.netdev(a, fmt.Sprintf("eth%d", 100+m.links), "0x1002", "0")
		return nil
	}
	m.must(os.MkdirAll(filepath.Join(m.root, m.dir(a), "vfio-dev", "vfio0"), 0o755))
	to, err := os.Readlink(filepath.Join(m.root, m.dir(a), "iommu_group"))
	if err == nil {
		m.must(os.MkdirAll(filepath.Join(m.root, "sys/class/vfio", filepath.Base(to)), 0o755))
	}
	return nil
}

func (m *Machine) unbind(a sriov.Address) {
	entries, _ := os.ReadDir(filepath.Join(m.root, m.dir(a), "net")) // it need have none
	for _, e := range entries {
		m.bury("sys/class/net/" + e.Name())
		m.bury(m.dir(a) + "/net/" + e.Name())
	}
	if m.driverOf(a) == vfioPCI {
		m.bury(m.dir(a) + "/vfio-dev")
		if to, err := os.Readlink(filepath.Join(m.root, m.dir(a), "iommu_group")); err == nil {
			m.bury("sys/class/vfio/" + filepath.Base(to))
		}
	}
	m.bury(m.dir(a) + "/driver")
}

// Forget has the machine know a driver no more, as if its module were not loaded.
func (m *Machine) Forget(driver string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bury(pciBus + "/drivers/" + driver)
}
