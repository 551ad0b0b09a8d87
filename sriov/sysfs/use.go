//go:build linux

package sysfs

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/sriov"
)

// userSpace are the drivers that hand a device to a virtual machine or a program.
var userSpace = [...]string{"vfio-pci", "uio_pci_generic", "igb_uio", "pci-stub", "xen-pciback"}

// maxUsers bounds how many are named.
const maxUsers = 3

// strangers are who has VFs in other namespaces, looked up once and only if there
// is such a VF: to look there means to go into each of them.
type strangers struct {
	look func() (map[sriov.Address]string, error)
	done bool
	all  map[sriov.Address]string
	err  error
}

func (t *Tree) strangers() *strangers { return &strangers{look: t.opts.Elsewhere} }

// nobody looks nowhere: for those who only count.
func (s *strangers) nobody() *strangers {
	s.done = true
	return s
}

func (s *strangers) who(a sriov.Address) string {
	if !s.done {
		s.all, s.err = s.look()
		s.done = true
		if s.err != nil {
			s.err = fmt.Errorf("find out who has VFs in other network namespaces: %w", s.err)
		}
	}
	return s.all[a]
}

// use says who has a VF, of which all else has been read.
func (t *Tree) use(vf sriov.VF, elsewhere *strangers) sriov.Use {
	switch {
	case slices.Contains(userSpace[:], vf.Driver):
		by := t.openers(vf)
		if by == "" {
			by = "the driver " + vf.Driver
		}
		return sriov.Use{How: sriov.UserSpace, By: by}
	case vf.Driver == "":
		return sriov.Use{How: sriov.Bare}
	case vf.Name == "":
		return sriov.Use{How: sriov.Elsewhere, By: elsewhere.who(vf.Address)}
	}
	if above := t.above(vf.Name); above != "" {
		return sriov.Use{How: sriov.Joined, By: above}
	}
	if vf.Link.Up {
		return sriov.Use{How: sriov.Up}
	}
	return sriov.Use{How: sriov.Free}
}

// above names what stands on an interface: its bond or bridge, VLANs, macvlans.
func (t *Tree) above(name string) string {
	if master := t.master(name); master != "" {
		return master
	}
	var all []string
	for _, entry := range t.names(netClass, name) {
		if upper, ok := strings.CutPrefix(entry, "upper_"); ok {
			all = append(all, upper)
		}
	}
	return some(all)
}

// master names the bond or bridge that an interface is a port of; empty for none.
func (t *Tree) master(name string) string {
	if name == "" {
		return ""
	}
	return t.files.Target(netClass, name, "master")
}

// openers names the processes that have a VF open, by its IOMMU group or, as new
// programs do, by its own file.
func (t *Tree) openers(vf sriov.VF) string {
	var files []string
	if vf.Group != sriov.None {
		files = append(files, "/dev/vfio/"+strconv.Itoa(vf.Group))
	}
	for _, name := range t.names(device(vf.Address), "vfio-dev") {
		files = append(files, "/dev/vfio/devices/"+name)
	}
	if len(files) == 0 {
		return ""
	}
	var all []string
	for _, pid := range t.names("proc") {
		if _, err := strconv.Atoi(pid); err != nil {
			continue
		}
		for _, fd := range t.names("proc", pid, "fd") {
			if to, err := os.Readlink(t.files.Path("proc", pid, "fd", fd)); err == nil && slices.Contains(files, to) {
				comm, _ := t.files.Word("proc", pid, "comm") // one that ended has no name, and no use of the VF
				all = append(all, fmt.Sprintf("process %s (%s)", pid, printable(comm)))
				break
			}
		}
	}
	return some(all)
}

// some lists the first of them.
func some(all []string) string {
	if more := len(all) - maxUsers; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:maxUsers], ", "), more)
	}
	return strings.Join(all, ", ")
}

// printable takes what would do something to a terminal out of a name that
// anybody may choose.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > '~' {
			return '?'
		}
		return r
	}, s)
}
