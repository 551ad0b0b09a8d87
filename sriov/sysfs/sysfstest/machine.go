//go:build linux

// Package sysfstest is a machine with cards for tests: a tree like the kernel's
// sysfs, and drivers that make virtual functions when they are told to.
package sysfstest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/sriov"
)

// A Card is a PF that a test puts into a machine.
type Card struct {
	// Name is its interface. Optional: it has none, as without a driver.
	Name string
	// Address is where it is, in a slot below a port of its own. Required.
	Address sriov.Address
	// TotalVFs is the most that it may have; below 0 it has no SR-IOV.
	TotalVFs int
	// Driver and VFDriver are igb and igbvf unless they say otherwise; "-" is none.
	Driver, VFDriver string
	// Class is the PCI class. Optional: 0x020000, Ethernet.
	Class string
	// NUMA is its node, from 1; 0 is none at all.
	NUMA int
	// IOMMU puts it and each of its VFs into a group of its own.
	IOMMU bool
	// Down has its interface switched off, and Dark its cable pulled.
	Down, Dark bool
	// NeedsUp has the driver make no VF while its interface is off, and say so to
	// nobody, as bnxt_en does.
	NeedsUp bool
	// Refuse is what the driver says to any number but 0. Optional.
	Refuse error
	// Fewer has the driver make so many less.
	Fewer int
	// Late is how long after the VFs their interfaces come. Optional: at once.
	Late time.Duration

	refused int // the number that Refuse is for; 0 is any
}

// A Machine is a tree with cards. Its methods are for any number of goroutines.
type Machine struct {
	t     testing.TB
	root  string
	cards map[sriov.Address]*Card

	mu     sync.Mutex
	links  int // interfaces made so far
	groups int
	grave  int
	writes []string
	hang   chan struct{}
	// native are the drivers that know the devices, and rejects one that takes none.
	native  map[sriov.Address]string
	rejects string
}

// New makes a machine in a directory of the test's.
func New(t testing.TB, cards ...Card) *Machine {
	t.Helper()
	m := &Machine{t: t, root: t.TempDir(), cards: map[sriov.Address]*Card{}, native: map[sriov.Address]string{}}
	for _, dir := range []string{"sys/bus/pci/devices", "sys/bus/pci/drivers", "sys/class/net", "sys/kernel/iommu_groups", "sys/devices/virtual/net/lo", "proc/self", "grave"} {
		m.must(os.MkdirAll(filepath.Join(m.root, dir), 0o755))
	}
	m.link("sys/class/net/lo", "sys/devices/virtual/net/lo")
	m.file("sys/devices/virtual/net/lo/flags", "0x9")
	m.file("sys/bus/pci/drivers_probe", "")
	for i := range cards {
		m.add(&cards[i])
	}
	return m
}

// Root is the directory above sys and proc.
func (m *Machine) Root() string { return m.root }

// Writes are the files that were written through Write so far, below sys, with
// what was written.
func (m *Machine) Writes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.writes...)
}

// Hang has writes wait until the returned function is called.
func (m *Machine) Hang() (end func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	hang := make(chan struct{})
	m.hang = hang
	return func() { close(hang) }
}

// Write is what the kernel does when a file of its is written.
func (m *Machine) Write(path, text string) error {
	m.mu.Lock()
	hang := m.hang
	m.mu.Unlock()
	if hang != nil {
		<-hang
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	rel, err := filepath.Rel(filepath.Join(m.root, "sys"), path)
	if err != nil {
		return err
	}
	m.writes = append(m.writes, rel+" "+text)
	if _, err := os.Stat(path); err != nil {
		return err
	}
	if done, err := m.writeDriver(rel, text); done {
		if err != nil {
			return &os.PathError{Op: "write", Path: path, Err: err}
		}
		return nil
	}
	switch dir, file := filepath.Split(path); file {
	case "sriov_numvfs":
		n, err := strconv.Atoi(text)
		if err != nil {
			return &os.PathError{Op: "write", Path: path, Err: unix.EINVAL}
		}
		if err := m.setVFs(sriov.Address(filepath.Base(dir)), n); err != nil {
			return &os.PathError{Op: "write", Path: path, Err: err}
		}
		return nil
	case "flags":
		return os.WriteFile(path, []byte(text+"\n"), 0o600)
	}
	return &os.PathError{Op: "open", Path: path, Err: unix.EACCES}
}

// Take moves the VF's interface to another network namespace, or back with the name.
func (m *Machine) Take(vf sriov.Address) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir := m.dir(vf) + "/net"
	names, err := os.ReadDir(filepath.Join(m.root, dir))
	m.must(err)
	for _, name := range names {
		m.bury("sys/class/net/" + name.Name())
		m.bury(dir + "/" + name.Name())
	}
}

// Set writes a file below sys as if its driver had, such as
// "class/net/eth1/flags".
func (m *Machine) Set(name, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.must(os.MkdirAll(filepath.Dir(filepath.Join(m.root, "sys", name)), 0o755))
	m.file("sys/"+name, text)
}

// Join puts an interface below another, as a bond does.
func (m *Machine) Join(name, master string) { m.under(name, master, "master") }

// Carry puts an interface, such as a VLAN, onto another.
func (m *Machine) Carry(name, upper string) { m.under(name, upper, "upper_"+upper) }

// under has an interface say by a link of that name that it is below another.
func (m *Machine) under(name, upper, link string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.must(os.MkdirAll(filepath.Join(m.root, "sys/devices/virtual/net", upper), 0o755))
	real, err := filepath.EvalSymlinks(filepath.Join(m.root, "sys/class/net", name))
	m.must(err)
	rel, err := filepath.Rel(m.root, real)
	m.must(err)
	m.link(rel+"/"+link, "sys/devices/virtual/net/"+upper)
}

// Bind gives a device another driver, such as vfio-pci, and takes its interface
// away; no driver if it is empty.
func (m *Machine) Bind(a sriov.Address, driver string) {
	m.Take(a)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bury(m.dir(a) + "/driver")
	if driver != "" {
		m.driver(a, driver)
	}
	if driver == "vfio-pci" {
		m.must(os.MkdirAll(filepath.Join(m.root, m.dir(a), "vfio-dev", "vfio0"), 0o755))
	}
}

// Open has a process hold a file, such as /dev/vfio/7.
func (m *Machine) Open(pid int, comm, file string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir := fmt.Sprintf("proc/%d", pid)
	m.must(os.MkdirAll(filepath.Join(m.root, dir, "fd"), 0o755))
	m.file(dir+"/comm", comm)
	m.must(os.Symlink(file, filepath.Join(m.root, dir, "fd", "17")))
}

// Others make VFs, as an administrator or a boot script does.
func (m *Machine) Others(pf sriov.Address, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.must(m.setVFs(pf, n))
}

// Pull takes a card out, with its VFs.
func (m *Machine) Pull(pf sriov.Address) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.must(m.remove(pf))
	m.drop(pf)
	delete(m.cards, pf)
}

func (m *Machine) must(err error) {
	if err != nil {
		m.t.Error(errors.Join(errors.New("machine of the test"), err))
	}
}

// Represent gives a card an interface that is the other end of a VF, as cards have
// that switch.
func (m *Machine) Represent(pf sriov.Address, name, port string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.netdev(pf, name, "0x1002", "0")
	m.file("sys/class/net/"+name+"/phys_port_name", port)
}

// Refuse has a card's driver say err to that number of VFs from now on.
func (m *Machine) Refuse(pf sriov.Address, n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cards[pf].Refuse, m.cards[pf].refused = err, n
}
