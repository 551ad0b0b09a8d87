//go:build linux

package sysfs

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/sriov"
)

// A Plan is what is to be done for a card to have so many VFs.
type Plan struct {
	// PF is the card as it is.
	PF sriov.PF
	// VFs is how many there will be: what was asked for, unless Notes say why not.
	VFs int
	// Raise: its interface is switched on first. Some drivers make no VFs before, and
	// with some the VFs then find no card.
	Raise bool
	// Remove: the VFs that are there, which nobody uses, go first. The kernel
	// knows no other way to change their number.
	Remove bool
	// Make: VFs are made.
	Make bool
	// Notes are what a person should know, in sentences without a full stop.
	Notes []string
}

// Nothing says that the card has its VFs already.
func (p Plan) Nothing() bool { return !p.Remove && !p.Make }

// Steps are the commands that do the same by hand, in order.
func (p Plan) Steps() []string {
	file := filepath.Join("/", device(p.PF.Address), "sriov_numvfs")
	var all []string
	if p.Raise {
		all = append(all, "ip link set "+p.PF.Name+" up")
	}
	if p.Remove {
		all = append(all, "echo 0 > "+file)
	}
	if p.Make {
		all = append(all, fmt.Sprintf("echo %d > %s", p.VFs, file))
	}
	return all
}

// Plan says what Enable would do, and changes nothing.
func (t *Tree) Plan(name string, n int) (Plan, error) {
	pf, err := t.PF(name)
	if hosted := t.hosted(n); errors.Is(err, ErrUnsupported) && hosted != "" {
		err = fmt.Errorf("%w; %s", err, hosted)
	}
	if err != nil {
		return Plan{}, err
	}
	return plan(pf, n)
}

// hosted says where the number of VFs is set of cards that the owner of this virtual
// machine has; empty for machines that cut their cards themselves.
func (t *Tree) hosted(n int) string {
	if vendor, err := t.files.Word("sys/class/dmi/id/sys_vendor"); err != nil || !strings.HasPrefix(vendor, "VMware") {
		return ""
	}
	// One of a card's pools is its own, and is counted there.
	return fmt.Sprintf("this machine is ESXi's, where cards are cut on the host: esxcli system module parameters set -m DRIVER -p max_vfs=%d, "+
		"and reboot the host; VFs that it then passes to this machine are cards of the kind that a hypervisor plugs in, and not of this one", n+1)
}

// plan decides. It errs with ErrUnsupported, ErrBusy or ErrForeign.
func plan(pf sriov.PF, n int) (Plan, error) {
	p := Plan{PF: pf, VFs: n}
	note := func(format string, args ...any) { p.Notes = append(p.Notes, fmt.Sprintf(format, args...)) }
	switch {
	case n < 0:
		return Plan{}, fmt.Errorf("make %d VFs: want 0 or more", n)
	case pf.TotalVFs == 0 && n > 0:
		return Plan{}, fmt.Errorf("%w: %s knows it, and may have no VF; switch SR-IOV on in the machine's firmware, and with some cards "+
			"in the card's own, and reboot", ErrUnsupported, pf.Label())
	case n > pf.TotalVFs:
		note("%d VFs were asked for, and %d is the most that %s can have", n, pf.TotalVFs, pf.Label())
		p.VFs = pf.TotalVFs
	}
	if pf.Group == sriov.None && p.VFs > 0 {
		note("the machine has no IOMMU switched on: VFs serve containers, and neither virtual machines nor programs in user space")
	}
	if p.VFs > 0 && pf.NumVFs > 0 && pf.Name != "" && !pf.Link.Up {
		note("%s is switched off, and VFs have no link before: ip link set %s up", pf.Label(), pf.Name)
	}
	switch {
	case p.VFs == pf.NumVFs:
		return p, nil
	case pf.NumVFs > 0 && !pf.Ours && p.VFs > 0 && p.VFs < pf.NumVFs:
		note("others made %d VFs of %s, which stay", pf.NumVFs, pf.Label())
		p.VFs = pf.NumVFs
		return p, nil
	case slices.ContainsFunc(pf.VFs, func(vf sriov.VF) bool { return vf.Use.Busy() }):
		return Plan{}, inUse(pf)
	case pf.NumVFs > 0 && !pf.Ours:
		return Plan{}, fmt.Errorf("%w: %s has %d, which nicferry uses and never removes, and another number needs them removed; "+
			"have whoever makes them at boot make %d, or set 0 by hand: echo 0 > %s", ErrForeign, pf.Label(), pf.NumVFs, p.VFs,
			filepath.Join("/", device(pf.Address), "sriov_numvfs"))
	case pf.Driver == "":
		return Plan{}, fmt.Errorf("%w: %s has no driver, which is what makes VFs; load it", ErrUnsupported, pf.Label())
	}
	p.Remove, p.Make = pf.NumVFs > 0, p.VFs > 0
	p.Raise = p.Make && pf.Name != "" && !pf.Link.Up
	if p.Make {
		if pf.Name == "" {
			note("the interface of %s is in another network namespace, and is not switched on", pf.Address)
		}
		if !pf.Autoprobe {
			note("VFs get no driver by themselves here; that is switched on by: echo 1 > %s", filepath.Join("/", device(pf.Address), "sriov_drivers_autoprobe"))
		}
	}
	if pf.Link.Up {
		note("with some drivers the link of %s is down for some seconds meanwhile", pf.Label())
	}
	return p, nil
}
