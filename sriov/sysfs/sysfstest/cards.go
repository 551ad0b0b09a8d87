//go:build linux

package sysfstest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/sriov"
)

// What igb says in its SR-IOV capability: where the first VF's function number
// is from the PF's, and how far it is from one to the next.
const vfOffset, vfStride = 128, 2

func (m *Machine) add(c *Card) {
	if c.Driver == "" {
		c.Driver = "igb"
	}
	if c.VFDriver == "" {
		c.VFDriver = "igbvf"
	}
	if c.Class == "" {
		c.Class = "0x020000"
	}
	m.cards[c.Address] = c
	m.device(c.Address, c)
	dir := m.dir(c.Address)
	if c.TotalVFs >= 0 {
		for name, text := range map[string]string{
			"sriov_totalvfs": strconv.Itoa(c.TotalVFs), "sriov_numvfs": "0", "sriov_drivers_autoprobe": "1",
			"sriov_offset": strconv.Itoa(vfOffset), "sriov_stride": strconv.Itoa(vfStride), "sriov_vf_device": "10ca",
		} {
			m.file(dir+"/"+name, text)
		}
	}
	if c.Driver == "-" {
		return
	}
	m.driver(c.Address, c.Driver)
	if c.Name != "" {
		flags, carrier := "0x1003", "1"
		if c.Down {
			flags = "0x1002"
		}
		if c.Dark || c.Down {
			carrier = "0"
		}
		m.netdev(c.Address, c.Name, flags, carrier)
	}
}

// dir is a device's directory, below the port that leads to its bus: bus 1 is
// behind function 0.
func (m *Machine) dir(a sriov.Address) string {
	bus := strings.Split(string(a), ":")[1]
	return "sys/devices/pci0000:00/0000:00:02." + string((bus[1]-1)&7+'0') + "/" + string(a)
}

// device makes what all PCI devices have.
func (m *Machine) device(a sriov.Address, c *Card) {
	dir, numa := m.dir(a), "-1"
	if c.NUMA > 0 {
		numa = strconv.Itoa(c.NUMA)
	}
	m.must(os.MkdirAll(filepath.Join(m.root, dir), 0o755))
	m.link("sys/bus/pci/devices/"+string(a), dir)
	m.file(dir+"/class", c.Class)
	m.file(dir+"/driver_override", noDriver)
	m.file(dir+"/vendor", "0x8086")
	m.file(dir+"/numa_node", numa)
	if c.IOMMU {
		group := fmt.Sprintf("sys/kernel/iommu_groups/%d", m.groups)
		m.groups++
		m.must(os.MkdirAll(filepath.Join(m.root, group, "devices"), 0o755))
		m.link(group+"/devices/"+string(a), dir)
		m.link(dir+"/iommu_group", group)
	}
}

func (m *Machine) driver(a sriov.Address, name string) {
	m.known(name)
	m.link(m.dir(a)+"/driver", "sys/bus/pci/drivers/"+name)
}

func (m *Machine) netdev(a sriov.Address, name, flags, carrier string) {
	dir := m.dir(a) + "/net/" + name
	m.links++
	m.must(os.MkdirAll(filepath.Join(m.root, dir), 0o755))
	for file, text := range map[string]string{
		"flags": flags, "carrier": carrier, "speed": "1000", "mtu": "1500", "ifindex": strconv.Itoa(m.links + 1),
		"address": fmt.Sprintf("52:54:00:00:00:%02x", m.links), "phys_port_name": "",
	} {
		m.file(dir+"/"+file, text)
	}
	m.link(dir+"/device", m.dir(a))
	m.link("sys/class/net/"+name, dir)
}

// setVFs is what the kernel does at a write to sriov_numvfs, in its order.
func (m *Machine) setVFs(pf sriov.Address, n int) error {
	c := m.cards[pf]
	have := m.numVFs(pf)
	switch {
	case n < 0 || n > c.TotalVFs:
		return unix.ERANGE
	case n == have:
		return nil
	case c.Driver == "-":
		return unix.ENOENT
	case n == 0:
		return m.remove(pf)
	case have > 0:
		return unix.EBUSY
	case c.Refuse != nil && (c.refused == 0 || c.refused == n):
		return c.Refuse
	case c.NeedsUp && !m.up(c.Name):
		return nil
	}
	n -= c.Fewer
	for i := range n {
		vf := vfAddress(pf, i)
		m.device(vf, &Card{Class: c.Class, NUMA: c.NUMA, IOMMU: c.IOMMU})
		m.link(m.dir(vf)+"/physfn", m.dir(pf))
		m.link(m.dir(pf)+"/virtfn"+strconv.Itoa(i), m.dir(vf))
	}
	m.file(m.dir(pf)+"/sriov_numvfs", strconv.Itoa(n))
	if c.VFDriver == "-" || m.text(m.dir(pf)+"/sriov_drivers_autoprobe") == "0" {
		return nil
	}
	for i := range n {
		m.driver(vfAddress(pf, i), c.VFDriver)
		m.native[vfAddress(pf, i)] = c.VFDriver
	}
	if c.Late == 0 {
		m.show(c, n)
		return nil
	}
	time.AfterFunc(c.Late, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.show(c, n)
	})
	return nil
}

// show makes the interfaces of VFs.
func (m *Machine) show(c *Card, n int) {
	for i := range n {
		m.netdev(vfAddress(c.Address, i), fmt.Sprintf("%sv%d", c.Name, i), "0x1002", "0")
	}
}

// remove takes the VFs of a card away.
func (m *Machine) remove(pf sriov.Address) error {
	for i := range m.numVFs(pf) {
		vf := vfAddress(pf, i)
		m.bury(m.dir(pf) + "/virtfn" + strconv.Itoa(i))
		m.drop(vf)
	}
	m.file(m.dir(pf)+"/sriov_numvfs", "0")
	return nil
}

// drop takes a device away.
func (m *Machine) drop(a sriov.Address) {
	entries, _ := os.ReadDir(filepath.Join(m.root, m.dir(a), "net")) // it need have none
	for _, e := range entries {
		m.bury("sys/class/net/" + e.Name())
	}
	m.bury("sys/bus/pci/devices/" + string(a))
	m.bury(m.dir(a))
}

func (m *Machine) numVFs(pf sriov.Address) int {
	n, err := strconv.Atoi(m.text(m.dir(pf) + "/sriov_numvfs"))
	m.must(err)
	return n
}

func (m *Machine) up(name string) bool {
	flags, err := strconv.ParseInt(m.text("sys/class/net/"+name+"/flags"), 0, 64)
	m.must(err)
	return flags&1 != 0
}

// vfAddress is where the standard has a VF be.
func vfAddress(pf sriov.Address, index int) sriov.Address {
	var domain, bus, slot, function int
	_, _ = fmt.Sscanf(string(pf), "%x:%x:%x.%d", &domain, &bus, &slot, &function) // the test's own address
	at := bus<<8 + slot<<3 + function + vfOffset + vfStride*index
	return sriov.Address(fmt.Sprintf("%04x:%02x:%02x.%d", domain, at>>8, at>>3&0x1f, at&7))
}

// bury takes a file or a directory away. It is kept elsewhere, so that nothing
// gets its inode number anew: the kernel's numbers are not used twice either.
func (m *Machine) bury(name string) {
	m.grave++
	m.must(os.Rename(filepath.Join(m.root, name), filepath.Join(m.root, "grave", strconv.Itoa(m.grave))))
}

func (m *Machine) file(name, text string) {
	m.must(os.WriteFile(filepath.Join(m.root, name), []byte(text+"\n"), 0o600))
}

func (m *Machine) text(name string) string {
	text, err := os.ReadFile(filepath.Join(m.root, name))
	m.must(err)
	return strings.TrimSpace(string(text))
}

// link makes a symbolic link as the kernel does: relative, and always with the
// name of what it points to at its end, even if that is above it.
func (m *Machine) link(name, to string) {
	rel, err := filepath.Rel(filepath.Dir(name), filepath.Dir(to))
	m.must(err)
	m.must(os.Symlink(filepath.Join(rel, filepath.Base(to)), filepath.Join(m.root, name)))
}
