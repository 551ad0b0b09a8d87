//go:build linux

package sriov

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/sriov/sysfs/sysfstest"
)

// VFs that are used, made by others, or of a card that goes.
func TestF41_VFsOfARealCard(t *testing.T) {
	onOneGuest(t, []part{
		{"nothing changes under a namespace", (*host).underANamespace},
		{"nothing changes under a bond", (*host).underABond},
		{"a VF for user space is in use", (*host).userSpace},
		{"others' VFs are adopted", (*host).adopted},
		{"a card is pulled", (*host).pulled},
	})
}

// VFs are made as they were asked for.
func TestARealCardGetsItsVFs(t *testing.T) {
	onOneGuest(t, []part{
		{"cards are listed", (*host).areListed},
		{"a dry run does nothing", (*host).dryRun},
		{"VFs are made, and the tests' tree is like the kernel's", (*host).areMade},
		{"VFs have their names", (*host).areNamed},
	})
}

// A part is one story of a guest's two cards. It leaves them without VFs.
type part struct {
	name string
	run  func(*host)
}

// onOneGuest runs parts on one guest, because a boot is dear here.
func onOneGuest(t *testing.T, parts []part) {
	t.Helper()
	t.Parallel() // each guest has one processor
	h := boot(t)
	for _, p := range parts {
		ok := t.Run(p.name, func(t *testing.T) {
			p.run(&host{Client: h.Client, t: t, bin: h.bin})
		})
		if !ok {
			t.Log(h.sh("dmesg | tail -40"))
		}
	}
}

func (h *host) areListed() {
	all := h.cards()
	if len(all) != 2 || all[0].Address != first || all[1].Address != second {
		h.t.Fatalf("the cards are %+v", all)
	}
	for i, pf := range all {
		if pf.Driver != "igb" || pf.TotalVFs != 7 || pf.NumVFs != 0 || !pf.Autoprobe || pf.Name == "" || pf.Group == sriov.None ||
			pf.MAC.String() != fmt.Sprintf("52:54:00:00:01:0%d", i) || pf.Link.Up || pf.Link.MTU != 1500 {
			h.t.Errorf("%+v", pf)
		}
	}
	h.want(1, "no such card", "enable", "eth77", "--vfs", "1")
	h.want(4, "no SR-IOV", "enable", "eth0", "--vfs", "1")
}

func (h *host) dryRun() {
	pf := h.card(first)
	h.want(0, "ip link set "+pf.Name+" up\necho 7 > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs", "enable", pf.Name, "--vfs", "64", "--dry-run")
	if again := h.card(first); again.NumVFs != 0 || again.Link.Up {
		h.t.Errorf("it did something: %+v", again)
	}
}

// areMade: up first, all VFs with their interfaces, each in an IOMMU group of its
// own, and nothing twice.
func (h *host) areMade() {
	h.want(0, "has 4 VFs", "enable", string(first), "--vfs", "4")
	pf := h.card(first)
	if !pf.Link.Up || !pf.Ours || pf.NumVFs != 4 || len(pf.VFs) != 4 {
		h.t.Fatalf("%+v", pf)
	}
	groups := []int{pf.Group}
	for i, vf := range pf.VFs {
		at := sriov.Address(fmt.Sprintf("0000:01:10.%d", 2*i))
		if vf.Address != at || vf.Index != i || vf.Driver != "igbvf" || vf.Name == "" || vf.MAC.IsZero() || vf.Use.How != sriov.Free || slices.Contains(groups, vf.Group) {
			h.t.Errorf("VF %d is %+v", i, vf)
		}
		groups = append(groups, vf.Group)
	}
	h.likeTheTests()
	h.want(0, "has 4 VFs", "enable", pf.Name, "--vfs", "4")
	h.want(0, "has 7 VFs", "enable", pf.Name, "--vfs", "7")
	h.want(0, "VF17", "list")
	if again := h.card(first); len(again.VFs) != 7 || again.VFs[6].Name == "" {
		h.t.Errorf("%+v", again)
	}
	h.want(0, "has 0 VFs", "enable", pf.Name, "--vfs", "0")
}

// likeTheTests holds the links and files that sysfs is read by against those of the
// tree that all other tests have.
func (h *host) likeTheTests() {
	pf := h.card(first)
	m := sysfstest.New(h.t, sysfstest.Card{Name: pf.Name, Address: first, TotalVFs: 7, IOMMU: true})
	m.Others(first, 4)
	for _, name := range []string{
		"bus/pci/devices/" + string(first), "bus/pci/devices/0000:01:10.2", "class/net/" + pf.Name,
		dir(first) + "/driver", dir(first) + "/virtfn1", dir(first) + "/net/" + pf.Name + "/device",
		dir("0000:01:10.2") + "/driver", dir("0000:01:10.2") + "/physfn",
	} {
		real := h.sh("readlink /sys/%s", name)
		fake, err := os.Readlink(filepath.Join(m.Root(), "sys", name))
		if err != nil || real != fake {
			h.t.Errorf("%s points to %q, and in tests to %q, %v", name, real, fake, err)
		}
	}
	if real := h.sh("readlink /sys/%s/iommu_group", dir(first)); filepath.Dir(real) != "../../../../kernel/iommu_groups" {
		h.t.Errorf("the IOMMU group is at %s", real)
	}
	for _, name := range []string{"class", "sriov_totalvfs", "sriov_numvfs", "sriov_drivers_autoprobe", "sriov_offset", "sriov_stride", "sriov_vf_device"} {
		fake, err := os.ReadFile(filepath.Join(m.Root(), "sys", dir(first), name))
		if real := h.sh("cat /sys/%s/%s", dir(first), name); err != nil || real != strings.TrimSpace(string(fake)) {
			h.t.Errorf("%s is %q, and in tests %q, %v", name, real, fake, err)
		}
	}
}

// dir is a device's own directory.
func dir(a sriov.Address) string { return "devices/pci0000:00/0000:00:02.0/" + string(a) }

// underANamespace: a VF in another network namespace has a holder, who is named,
// and comes home when that ends.
func (h *host) underANamespace() {
	h.want(0, "has 4 VFs", "enable", string(first), "--vfs", "4")
	vf := h.card(first).VFs[2]
	h.sh("ip netns add mount; ip link set %s netns mount", vf.Name)
	for _, n := range []string{"7", "2", "0"} {
		h.want(4, "VF 2, 0000:01:10.4, is in use by the namespace /run/netns/mount", "enable", string(first), "--vfs", n)
	}
	h.sh("ip netns exec mount sleep 300 >/dev/null 2>&1 & until ip netns pids mount | grep -q .; do :; done")
	h.want(0, "(sleep)", "list")
	h.sh("kill $(ip netns pids mount); ip netns del mount")
	h.until("the VF to come home", "test -d /sys/bus/pci/devices/0000:01:10.4/net/*")
	h.want(0, "has 7 VFs", "enable", string(first), "--vfs", "7")
	h.want(0, "has 0 VFs", "enable", string(first), "--vfs", "0")
}

func (h *host) underABond() {
	h.want(0, "has 2 VFs", "enable", string(first), "--vfs", "2")
	vf := h.card(first).VFs[1]
	h.sh("ip link add cbond2 type bond mode active-backup; ip link set %s down; ip link set %s master cbond2", vf.Name, vf.Name)
	h.want(4, "is in use by cbond2", "enable", string(first), "--vfs", "0")
	h.sh("ip link del cbond2; ip link set %s down; ip link add link %s name vlan9 type vlan id 9", vf.Name, vf.Name)
	h.want(4, "is in use by vlan9", "enable", string(first), "--vfs", "0")
	h.sh("ip link del vlan9; ip link set %s up", vf.Name)
	h.want(4, "is switched on", "enable", string(first), "--vfs", "0")
	h.sh("ip link set %s down", vf.Name)
	h.want(0, "has 0 VFs", "enable", string(first), "--vfs", "0")
}

func (h *host) userSpace() {
	h.want(0, "has 2 VFs", "enable", string(first), "--vfs", "2")
	vf := h.card(first).VFs[0]
	at := "/sys/bus/pci/devices/" + string(vf.Address)
	h.sh("echo vfio-pci > %s/driver_override; echo %s > %s/driver/unbind; echo %s > /sys/bus/pci/drivers_probe", at, vf.Address, at, vf.Address)
	h.want(4, "in use by the driver vfio-pci", "enable", string(first), "--vfs", "0")
	h.sh("sleep 300 </dev/vfio/%d >/dev/null 2>&1 & until ls -l /proc/$!/fd | grep -q vfio; do :; done", vf.Group)
	h.want(4, "(sleep)", "enable", string(first), "--vfs", "0")
	h.sh("kill $(pidof sleep)")
	h.sh("echo > %s/driver_override; echo %s > %s/driver/unbind; echo %s > /sys/bus/pci/drivers_probe", at, vf.Address, at, vf.Address)
	h.until("the VF to have its interface again", "test -d "+at+"/net")
	h.want(0, "has 0 VFs", "enable", string(first), "--vfs", "0")
}

func (h *host) adopted() {
	h.want(0, "has 3 VFs", "enable", string(first), "--vfs", "3")
	file := "/sys/bus/pci/devices/" + string(first) + "/sriov_numvfs"
	h.sh("echo 0 > %s; echo 3 > %s", file, file) // as many as ours were
	if h.card(first).Ours {
		h.t.Error("those of others are taken for ours")
	}
	h.want(0, "has 3 VFs", "enable", string(first), "--vfs", "3")
	h.want(0, "others made 3 VFs", "enable", string(first), "--vfs", "2")
	h.want(4, "others made these VFs", "enable", string(first), "--vfs", "7")
	h.want(0, "3 of 7 VFs, made by others", "list")
	h.sh("echo 0 > %s", file)
}

func (h *host) pulled() {
	h.want(0, "has 2 VFs", "enable", string(second), "--vfs", "2")
	h.sh("echo 1 > /sys/bus/pci/devices/%s/remove", second)
	if all := h.cards(); len(all) != 1 {
		h.t.Errorf("after it was pulled: %+v", all)
	}
	h.want(1, "no PCI device has the address 0000:02:00.0", "enable", string(second), "--vfs", "2")
	h.sh("echo 1 > /sys/bus/pci/rescan")
	h.until("the card to be back", "test -d /sys/bus/pci/devices/"+string(second)+"/net")
	if pf := h.card(second); pf.NumVFs != 0 || pf.Ours {
		h.t.Errorf("after it is back: %+v", pf)
	}
	h.want(0, "has 2 VFs", "enable", string(second), "--vfs", "2")
	h.want(0, "has 0 VFs", "enable", string(second), "--vfs", "0")
}
