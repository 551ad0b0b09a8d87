//go:build linux

package sysfs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/sriov/sysfs"
)

// F36: network managers are told of the VFs before there are any, once, and only of
// those of the card. That it does not work keeps nobody from the VFs.
func TestF36_NetworkManagersLeaveVFsAlone(t *testing.T) {
	t.Parallel()
	b := machine(t, pair()...)
	reloads, refuse := 0, error(nil)
	rules := filepath.Join(b.Root(), "run/udev/rules.d")
	tree := sysfs.New(sysfs.Options{
		Root: b.Root(), State: filepath.Join(b.Root(), "run"), Write: b.Write,
		Reload: func(context.Context) error {
			reloads++
			if b.numvfs(first) != "" {
				t.Error("the VFs were there before the rule")
			}
			return refuse
		},
		Told: func(step string) { b.told = append(b.told, step) },
	})
	enable := func(name string, n int) {
		t.Helper()
		if _, _, err := tree.Enable(t.Context(), name, n); err != nil {
			t.Fatal(err)
		}
	}
	enable("eth2", 1)
	if _, err := os.Stat(rules); reloads != 0 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without udev: %d reloads, %v", reloads, err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(rules), 0o755), os.WriteFile(filepath.Join(b.Root(), "run/udev/control"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	refuse = errors.New("udev sleeps")
	enable("eth1", 2)
	enable("eth1", 2)
	text, err := os.ReadFile(filepath.Join(rules, "60-nicferry-"+string(first)+".rules"))
	if err != nil || !strings.Contains(string(text), `ATTR{device/physfn/uevent}=="*PCI_SLOT_NAME=0000:01:00.0*", ENV{NM_UNMANAGED}="1"`) || reloads != 1 {
		t.Errorf("%d reloads, %v, %s", reloads, err, text)
	}
	if all, err := os.ReadDir(rules); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if told := strings.Join(b.told, "\n"); !strings.Contains(told, "network managers are not kept from the VFs of 0000:01:00.0: udev sleeps") {
		t.Error(told)
	}
}
