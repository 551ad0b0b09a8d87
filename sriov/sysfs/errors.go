//go:build linux

package sysfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/sriov"
)

// The kinds of error. Each comes in words that say what to do.
var (
	// ErrNotFound: no card has that name or address.
	ErrNotFound = errors.New("no such card")
	// ErrUnsupported: it cannot be cut, or not by its driver.
	ErrUnsupported = errors.New("no SR-IOV")
	// ErrBusy: somebody uses the VFs, or changes their number at this moment.
	ErrBusy = errors.New("VFs are in use")
	// ErrForeign: others made the VFs.
	ErrForeign = errors.New("others made these VFs")
	// ErrNoRoom: card, firmware or kernel have no room for so many.
	ErrNoRoom = errors.New("no room for so many VFs")
	// ErrGone: the card was taken out meanwhile.
	ErrGone = errors.New("card is gone")
	// ErrLate: VFs were made, and not all have shown themselves in time.
	ErrLate = errors.New("VFs are late")
	// ErrDenied: it needs more rights.
	ErrDenied = errors.New("not permitted")
)

// isGone says whether the kernel says that a device is not there.
func isGone(err error) bool { return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) }

// words make of what the kernel says to a number of VFs what a person can act on.
// The kernel's own log says more, and its words are told with it.
func words(pf sriov.PF, n int, err error) error {
	refused := func(kind error, format string, args ...any) error {
		return fmt.Errorf("%w: %s (the kernel says: %w)", kind, fmt.Sprintf(format, args...), err)
	}
	switch {
	case errors.Is(err, unix.ENOSPC):
		return refused(ErrNoRoom, "%s has not enough interrupts or queues for %d VFs; ask for fewer, or leave the card itself fewer "+
			"by ethtool -L %s combined 1", pf.Label(), n, orAddress(pf))
	case errors.Is(err, unix.ENOMEM):
		return refused(ErrNoRoom, "the firmware has given %s no address space, or no bus numbers, for %d VFs; switch SR-IOV and "+
			"\"above 4G decoding\" on in the machine's firmware, or boot with pci=realloc, and reboot", pf.Label(), n)
	case errors.Is(err, unix.ERANGE):
		return refused(ErrNoRoom, "%s can have at most %d VFs", pf.Label(), pf.TotalVFs)
	case errors.Is(err, unix.EBUSY):
		return refused(ErrBusy, "%s has VFs already, which somebody else has just made; ask again", pf.Label())
	case errors.Is(err, unix.EROFS):
		return refused(ErrDenied, "/sys is mounted read-only here, as in a container; run it on the machine itself")
	case errors.Is(err, unix.EACCES):
		return refused(ErrDenied, "changing the number of VFs needs root")
	case errors.Is(err, unix.EPERM):
		return refused(ErrBusy, "driver %s does not let go of VFs that virtual machines have, nor take more than it can; "+
			"shut those machines down, or ask for fewer", pf.Driver)
	case isGone(err):
		return refused(ErrGone, "%s was removed from the machine, or its slot switched off", pf.Address)
	case errors.Is(err, fs.ErrNotExist) && pf.Driver == "":
		return refused(ErrUnsupported, "%s has no driver, which is what makes VFs; load it", pf.Label())
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return refused(ErrUnsupported, "driver %s of %s cannot make VFs by sysfs; see its own documentation", pf.Driver, pf.Label())
	case errors.Is(err, unix.EINVAL):
		return refused(ErrUnsupported, "driver %s takes no %d VFs of %s as it is set up; XDP, another switch mode or a limit of the "+
			"card's own firmware are known reasons", pf.Driver, n, pf.Label())
	}
	return fmt.Errorf("set the number of VFs of %s to %d: %w", pf.Label(), n, err)
}

func orAddress(pf sriov.PF) string {
	if pf.Name == "" {
		return string(pf.Address)
	}
	return pf.Name
}

// inUse lists who has VFs.
func inUse(pf sriov.PF) error {
	var users []string
	for _, vf := range pf.VFs {
		if vf.Use.Busy() {
			users = append(users, fmt.Sprintf("VF %d, %s, is %s", vf.Index, vf.Label(), vf.Use))
		}
	}
	return fmt.Errorf("%w: %s has %d, and their number can be changed only by removing all of them: %s", ErrBusy, pf.Label(), pf.NumVFs, strings.Join(users, "; "))
}
