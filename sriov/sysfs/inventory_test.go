//go:build linux

package sysfs_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/sriov/sysfs"
	"github.com/nicferry/nicferry/sriov/sysfs/sysfstest"
)

func TestInventory(t *testing.T) {
	t.Parallel()
	b := machine(t, append(pair(),
		sysfstest.Card{Name: "eth0", Address: "0000:03:00.0", TotalVFs: -1, Driver: "virtio-pci"},
		sysfstest.Card{Name: "", Address: "0000:04:00.0", TotalVFs: 16, Class: "0x010802", Driver: "nvme"},
		sysfstest.Card{Name: "", Address: "0000:05:00.0", TotalVFs: 63, Driver: "-"},
		sysfstest.Card{Name: "eth6", Address: "0000:06:00.0", TotalVFs: 0, Down: true},
	)...)
	b.enable("eth2", 2)
	b.Set("class/net/eth1/flags", "0x1103") // promiscuous
	b.Set("class/net/eth1/speed", "-1")     // as a link tells that is down
	all, err := b.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, pf := range all {
		names = append(names, pf.Label())
	}
	if got := strings.Join(names, ", "); got != "eth1 (0000:01:00.0), eth2 (0000:02:00.0), 0000:05:00.0, eth6 (0000:06:00.0)" {
		t.Fatalf("cards are %s", got)
	}
	one, two, bare, none := all[0], all[1], all[2], all[3]
	if one.Driver != "igb" || one.NUMA != sriov.None || one.Group != 0 || one.TotalVFs != 7 || one.NumVFs != 0 || !one.Autoprobe ||
		one.MAC.String() != "52:54:00:00:00:01" || one.Link != (sriov.Link{Up: true, Carrier: true, Promisc: true, MTU: 1500}) || one.Ours {
		t.Errorf("eth1 is %+v", one)
	}
	if two.NUMA != 1 || two.NumVFs != 2 || !two.Ours || two.Link.Mbps != 1000 || len(two.VFs) != 2 {
		t.Errorf("eth2 is %+v", two)
	}
	// igb's VFs are where the kernel has them: bus 2, function 128, 130 …
	if vf := two.VFs[1]; vf.Address != "0000:02:10.2" || vf.PF != second || vf.Index != 1 || vf.Name != "eth2v1" || vf.Driver != "igbvf" ||
		vf.NUMA != 1 || vf.Group == sriov.None || vf.Group == two.Group || vf.MAC.IsZero() || vf.Use.How != sriov.Free {
		t.Errorf("its second VF is %+v", vf)
	}
	if bare.Driver != "" || bare.Name != "" || bare.Group != sriov.None || bare.TotalVFs != 63 {
		t.Errorf("the card without a driver is %+v", bare)
	}
	if none.TotalVFs != 0 || none.Link.Up {
		t.Errorf("eth6 is %+v", none)
	}
}

// A machine without PCI, and a card by either name.
func TestFinding(t *testing.T) {
	t.Parallel()
	if all, err := sysfs.New(sysfs.Options{Root: t.TempDir()}).List(); err != nil || len(all) != 0 {
		t.Errorf("without sysfs: %v, %v", all, err)
	}
	b := machine(t, append(pair(),
		sysfstest.Card{Name: "eth0", Address: "0000:03:00.0", TotalVFs: -1},
		sysfstest.Card{Address: "0000:04:00.0", TotalVFs: 16, Class: "0x010802"},
	)...)
	vf := b.enable("eth1", 1).VFs[0]
	for _, name := range []string{"eth1", "0000:01:00.0", "01:00.0"} {
		if pf := b.pf(name); pf.Address != first {
			t.Errorf("%s is %s", name, pf.Address)
		}
	}
	for name, want := range map[string]struct {
		kind error
		says string
	}{
		"eth9":         {sysfs.ErrNotFound, "no interface is called eth9 in this network namespace"},
		"0000:09:00.0": {sysfs.ErrNotFound, "no PCI device has the address 0000:09:00.0"},
		"eth0":         {sysfs.ErrUnsupported, "switch SR-IOV on in the machine's firmware"},
		"lo1":          {sysfs.ErrNotFound, "lo1"},
		"04:00.0":      {sysfs.ErrUnsupported, "04:00.0 is no network card"},
		vf.Name:        {sysfs.ErrUnsupported, "eth1v0 is itself a VF, of 0000:01:00.0"},
		"../../etc":    {nil, "want a letter"},
		"::":           {nil, "want domain:bus:device.function"},
		"lo":           {nil, "is the kernel's own"},
	} {
		_, err := b.PF(name)
		if err == nil || !strings.Contains(err.Error(), want.says) || want.kind != nil && !errors.Is(err, want.kind) {
			t.Errorf("%s: %v; want %q", name, err, want.says)
		}
	}
}

// Who has a VF is told in each way in which one can be had.
func TestUses(t *testing.T) {
	t.Parallel()
	b := machine(t, pair()...)
	vfs := b.enable("eth1", 7).VFs
	b.Set("class/net/"+vfs[1].Name+"/flags", "0x1003")
	b.Join(vfs[2].Name, "bond0")
	b.Join("eth1", "bond1")
	if got := b.pf("eth1").Master; got != "bond1" {
		t.Errorf("the card is a port of %q; want bond1", got)
	}
	b.Carry(vfs[3].Name, "vlan5")
	b.Take(vfs[4].Address)
	b.Bind(vfs[5].Address, "vfio-pci")
	b.Open(4711, "qemu-\x1b[31m", fmt.Sprintf("/dev/vfio/%d", vfs[5].Group))
	b.Open(4712, "other", "/dev/vfio/vfio")
	b.Bind(vfs[6].Address, "")
	for i, want := range []struct {
		use  sriov.Use
		says string
	}{
		{sriov.Use{How: sriov.Free}, "free"},
		{sriov.Use{How: sriov.Up}, "switched on"},
		{sriov.Use{How: sriov.Joined, By: "bond0"}, "in use by bond0"},
		{sriov.Use{How: sriov.Joined, By: "vlan5"}, "in use by vlan5"},
		{sriov.Use{How: sriov.Elsewhere}, "in use in another network namespace"},
		{sriov.Use{How: sriov.UserSpace, By: "process 4711 (qemu-?[31m)"}, "in use by process 4711 (qemu-?[31m)"},
		{sriov.Use{How: sriov.Bare}, "without a driver"},
	} {
		if got := b.pf("eth1").VFs[i].Use; got != want.use || got.String() != want.says {
			t.Errorf("VF %d: %+v, which is %q; want %+v", i, got, got, want.use)
		}
	}
	pf, err := b.again(map[sriov.Address]string{vfs[4].Address: "container 0123456789ab"}).PF("eth1")
	if got := pf.VFs[4].Use; err != nil || got.String() != "in use by container 0123456789ab" {
		t.Errorf("VF 4: %q, %v", got, err)
	}
	b.Bind(vfs[0].Address, "uio_pci_generic")
	if got := b.pf("eth1").VFs[0].Use; got.How != sriov.UserSpace || got.By != "the driver uio_pci_generic" {
		t.Errorf("VF 0: %+v", got)
	}
}

// What cannot be found out about others is told, and what is known besides too; and
// nobody goes into namespaces for cards whose VFs are all here.
func TestStrangersAreLookedForOnceAndIfNeedBe(t *testing.T) {
	t.Parallel()
	b := machine(t, pair()...)
	looks := 0
	tree := sysfs.New(sysfs.Options{Root: b.Root(), Elsewhere: func() (map[sriov.Address]string, error) {
		looks++
		return nil, errors.New("no rights")
	}})
	vfs := b.enable("eth1", 3).VFs
	if _, err := tree.List(); err != nil || looks != 0 {
		t.Errorf("%d looks, %v", looks, err)
	}
	b.Take(vfs[0].Address)
	b.Take(vfs[1].Address)
	all, err := tree.List()
	if err == nil || !strings.Contains(err.Error(), "no rights") || looks != 1 || len(all) != 2 || all[0].VFs[1].Use.How != sriov.Elsewhere {
		t.Errorf("%d looks, %v, %+v", looks, err, all)
	}
}

// The other ends of a switching card's VFs are not the card's own interface.
func TestRepresentorsAreNotTheCard(t *testing.T) {
	t.Parallel()
	b := machine(t, pair()...)
	b.Set("class/net/eth1/phys_port_name", "p0")
	b.Represent(first, "eth1_0", "pf0vf0")
	if pf := b.pf(string(first)); pf.Name != "eth1" {
		t.Errorf("the card is %s", pf.Name)
	}
	b.Set("class/net/eth1/phys_port_name", "pf0vf9")
	if pf := b.pf(string(first)); pf.Name != "" {
		t.Errorf("the card is %s", pf.Name)
	}
}

// TestProcessors reads whose processors are whose, and passes over what else is there.
func TestProcessors(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for file, text := range map[string]string{"node0/cpulist": "0-3,8-11\n", "node1/cpulist": "4-7", "node2/cpulist": "\n", "possible": "0-2", "nodes/cpulist": "9"} {
		at := filepath.Join(root, "sys/devices/system/node", file)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := sysfs.New(sysfs.Options{Root: root}).Processors()
	if want := map[int]string{0: "0-3,8-11", 1: "4-7", 2: ""}; err != nil || !maps.Equal(got, want) {
		t.Errorf("processors are %v, %v; want %v", got, err, want)
	}
	if node, err := sriov.NUMAOf("5,6", got); err != nil || node != 1 {
		t.Errorf("processors 5 and 6 are of node %d, %v", node, err)
	}
	if got, err := sysfs.New(sysfs.Options{Root: t.TempDir()}).Processors(); err != nil || len(got) != 0 {
		t.Errorf("on a kernel without nodes they are %v, %v", got, err)
	}
}
