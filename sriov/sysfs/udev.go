//go:build linux

package sysfs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nicferry/nicferry/sriov"
)

// udevRules is where udev finds rules that a boot takes away, as it does VFs.
const udevRules = "run/udev/rules.d"

func (t *Tree) rulePath(a sriov.Address) string {
	return t.files.Path(udevRules, "60-nicferry-"+string(a)+".rules")
}

// spare has network managers leave the VFs of a card alone that are about to be made
// (F36): one that they switched on would be theirs. The names that udev gives stay as
// they are. It does nothing without udev; what goes wrong is told, and keeps nobody from
// the VFs.
func (t *Tree) spare(ctx context.Context, a sriov.Address) {
	if !t.files.Exists("run/udev/control") {
		return
	}
	text := fmt.Sprintf("# VFs that nicferry has made are for containers. The next boot takes this away, as it does them.\n"+
		`SUBSYSTEM=="net", ACTION!="remove", ATTR{device/physfn/uevent}=="*PCI_SLOT_NAME=%s*", ENV{NM_UNMANAGED}="1", ENV{ID_NET_MANAGED_BY}="io.github.nicferry"`+"\n", a)
	path := t.rulePath(a)
	if there, err := os.ReadFile(path); err == nil && string(there) == text {
		return
	}
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path+".new", []byte(text), 0o644)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = t.opts.Reload(ctx)
	}
	if err != nil {
		t.opts.Told(fmt.Sprintf("network managers are not kept from the VFs of %s: %v", a, err))
	}
}
