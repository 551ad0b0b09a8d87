//go:build linux

package sysfs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

// networkClass is how the class of a PCI device begins that is a network card.
// Graphics cards and disks have VFs as well.
const networkClass = "0x02"

// List returns the machine's network cards with SR-IOV and their VFs, by PCI
// address. Without PCI there are none. It errs if who has the VFs in other
// namespaces cannot be found out, and then returns what it knows besides.
func (t *Tree) List() ([]sriov.PF, error) {
	var all []sriov.PF
	elsewhere := t.strangers()
	for _, name := range t.names(pciDevices) {
		address, err := sriov.ParseAddress(name)
		if err != nil || !t.isPF(address) {
			continue
		}
		pf, err := t.read(address, elsewhere)
		if err != nil {
			if !t.files.Exists(device(address)) {
				continue // it went while we looked
			}
			return nil, fmt.Errorf("list cards: %w", err)
		}
		all = append(all, pf)
	}
	slices.SortFunc(all, func(a, b sriov.PF) int { return cmp.Compare(a.Address, b.Address) })
	return all, elsewhere.err
}

// PF returns one card by the name of its interface or by its PCI address. It errs
// with ErrNotFound, or with ErrUnsupported for what has no SR-IOV.
func (t *Tree) PF(name string) (sriov.PF, error) {
	address, err := t.find(name)
	if err != nil {
		return sriov.PF{}, err
	}
	elsewhere := t.strangers()
	pf, err := t.read(address, elsewhere)
	if err != nil {
		return sriov.PF{}, fmt.Errorf("read card %s: %w", name, err)
	}
	return pf, elsewhere.err
}

// find resolves the name of a PF.
func (t *Tree) find(name string) (sriov.Address, error) {
	if strings.Contains(name, ":") {
		address, err := sriov.ParseAddress(name)
		if err != nil {
			return "", err
		}
		if !t.files.Exists(device(address)) {
			return "", fmt.Errorf("%w: no PCI device has the address %s", ErrNotFound, address)
		}
		return address, t.checkPF(name, address)
	}
	if err := nic.CheckInterfaceName(name); err != nil {
		return "", err
	}
	if !t.files.Exists(netClass, name) {
		return "", fmt.Errorf("%w: no interface is called %s in this network namespace; nicferry-agent sriov list shows what there is", ErrNotFound, name)
	}
	address, err := sriov.ParseAddress(t.files.Target(netClass, name, "device"))
	if err != nil {
		return "", fmt.Errorf("%w: %s is no PCI card", ErrUnsupported, name)
	}
	return address, t.checkPF(name, address)
}

func (t *Tree) isPF(a sriov.Address) bool { return t.checkPF(string(a), a) == nil }

// checkPF says in words why a PCI device cannot be cut.
func (t *Tree) checkPF(name string, a sriov.Address) error {
	class, err := t.files.Word(device(a), "class")
	switch {
	case err == nil && !strings.HasPrefix(class, networkClass):
		return fmt.Errorf("%w: %s is no network card", ErrUnsupported, name)
	case t.files.Exists(device(a), "physfn"):
		return fmt.Errorf("%w: %s is itself a VF, of %s", ErrUnsupported, name, t.files.Target(device(a), "physfn"))
	case !t.files.Exists(device(a), "sriov_totalvfs"):
		return fmt.Errorf("%w: %s shows none to the kernel; if the card has it, switch SR-IOV on in the machine's firmware, "+
			"and with some cards in the card's own, and reboot", ErrUnsupported, name)
	}
	return nil
}

// read reads one card.
func (t *Tree) read(a sriov.Address, elsewhere *strangers) (sriov.PF, error) {
	name := t.interfaceOf(a)
	pf := sriov.PF{
		Address: a, Name: name, MAC: t.mac(name), Driver: t.files.Target(device(a), "driver"),
		NUMA: t.numberOr(sriov.None, device(a), "numa_node"), Group: t.group(a), Link: t.link(name),
		Master: t.master(name),
		// Kernels before 4.12 have no such file, and always did it.
		Autoprobe: t.numberOr(1, device(a), "sriov_drivers_autoprobe") != 0,
	}
	var totalErr, numErr error
	pf.TotalVFs, totalErr = t.number(device(a), "sriov_totalvfs")
	pf.NumVFs, numErr = t.number(device(a), "sriov_numvfs")
	if err := errors.Join(totalErr, numErr); err != nil {
		return sriov.PF{}, t.gone(a, err)
	}
	for _, link := range t.names(device(a)) {
		index, isVF := vfIndex(link)
		if !isVF {
			continue
		}
		address, err := sriov.ParseAddress(t.files.Target(device(a), link))
		if err != nil {
			continue // it went while we looked
		}
		pf.VFs = append(pf.VFs, t.readVF(a, index, address, elsewhere))
	}
	slices.SortFunc(pf.VFs, func(a, b sriov.VF) int { return a.Index - b.Index })
	pf.Ours = t.made(pf)
	return pf, nil
}

// vfIndex reads the name of a card's link to a VF.
func vfIndex(link string) (int, bool) {
	digits, ok := strings.CutPrefix(link, "virtfn")
	if !ok {
		return 0, false
	}
	index, err := strconv.Atoi(digits)
	return index, err == nil && index >= 0
}

func (t *Tree) readVF(pf sriov.Address, index int, a sriov.Address, elsewhere *strangers) sriov.VF {
	name := t.interfaceOf(a)
	vf := sriov.VF{
		PF: pf, Index: index, Address: a, Name: name, MAC: t.mac(name), Driver: t.files.Target(device(a), "driver"),
		NUMA: t.numberOr(sriov.None, device(a), "numa_node"), Group: t.group(a), Link: t.link(name),
	}
	vf.Use = t.use(vf, elsewhere)
	return vf
}

// gone makes an error of a card that is not there any more say so.
func (t *Tree) gone(a sriov.Address, err error) error {
	if errors.Is(err, fs.ErrNotExist) && !t.files.Exists(device(a)) || isGone(err) {
		return fmt.Errorf("%w: %s was removed from the machine, or its slot switched off", ErrGone, a)
	}
	return err
}
