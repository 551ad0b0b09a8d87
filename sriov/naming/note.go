//go:build linux

package naming

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/internal/sysfile"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

// maxNote bounds what is read of a file, in bytes.
const maxNote = 4096

func (n *Namer) notePath(a sriov.Address) string {
	return filepath.Join(n.opts.State, string(a)+".name")
}

// note keeps the name that a VF had, whole at any time.
func (n *Namer) note(a sriov.Address, name string) error {
	// The controller's socket is beside the agent's directory, and others may use it.
	above := filepath.Dir(filepath.Dir(n.opts.State))
	if err := errors.Join(os.MkdirAll(above, 0o755), os.MkdirAll(n.opts.State, 0o700)); err != nil {
		return fmt.Errorf("note the name of %s: %w", a, err)
	}
	fresh := n.notePath(a) + ".new"
	if err := os.WriteFile(fresh, fmt.Appendf(nil, "%d %s\n", n.node(a), name), 0o600); err != nil {
		return fmt.Errorf("note the name of %s: %w", a, err)
	}
	if err := os.Rename(fresh, n.notePath(a)); err != nil {
		return fmt.Errorf("note the name of %s: %w", a, err)
	}
	return nil
}

// former is the name that a VF had; empty if it is not known, or was an earlier VF's at
// that address.
func (n *Namer) former(a sriov.Address) string {
	text, err := os.ReadFile(n.notePath(a))
	if err != nil || len(text) > maxNote {
		return ""
	}
	node, name, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if node != strconv.FormatUint(n.node(a), 10) || nic.CheckInterfaceName(name) != nil {
		return ""
	}
	return name
}

// node numbers the VF's directory in sysfs, which the kernel makes anew with each VF
// and never numbers the same.
func (n *Namer) node(a sriov.Address) uint64 {
	return sysfile.Root(n.opts.Root).Inode("sys/bus/pci/devices", string(a))
}

// busy says whether udev runs here and is not done with an interface. It renames what
// has just come, once, and what it has done with has a file.
func (n *Namer) busy(index int) bool {
	if _, err := os.Stat(filepath.Join(n.opts.Root, "run/udev/control")); err != nil {
		return false
	}
	text, err := os.ReadFile(filepath.Join(n.opts.Root, "run/udev/data", "n"+strconv.Itoa(index)))
	return err != nil || strings.Contains(string(text), "E:ID_PROCESSING=1\n")
}
