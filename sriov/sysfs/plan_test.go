//go:build linux

package sysfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/sriov/sysfs"
	"github.com/nicferry/nicferry/sriov/sysfs/sysfstest"
)

// S0-2: in a machine of ESXi's a dry run says where cards are cut, by the number that is
// written there, which is one more; and of no other machine.
func TestCardsThatTheHypervisorHas(t *testing.T) {
	t.Parallel()
	for vendor, want := range map[string]string{
		"VMware, Inc.": "esxcli system module parameters set -m DRIVER -p max_vfs=64, and reboot the host",
		"Dell Inc.":    "",
	} {
		b := machine(t, sysfstest.Card{Name: "ens192", Address: first, TotalVFs: -1})
		dmi := filepath.Join(b.Root(), "sys/class/dmi/id")
		if err := errors.Join(os.MkdirAll(dmi, 0o755), os.WriteFile(filepath.Join(dmi, "sys_vendor"), []byte(vendor+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		_, err := b.Plan("ens192", 63)
		if !errors.Is(err, sysfs.ErrUnsupported) || !strings.Contains(err.Error(), want) || want == "" && strings.Contains(err.Error(), "esxcli") {
			t.Errorf("%s: %v", vendor, err)
		}
	}
}
